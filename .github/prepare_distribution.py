"""prepare_distribution.py REPOSITORY TAG: makes README.md and pyproject.toml fit for PyPI before a release.

PyPI shows the README by itself, so its relative links have to lead to the repository, at the release's tag.
The project's addresses are added to the metadata in the same way, because only the release knows them.
"""

import re
import sys
from pathlib import Path

repository, tag = sys.argv[1:]
home = f"https://github.com/{repository}"


def absolute(link: "re.Match[str]") -> str:
    path = link[1]
    kind = "raw" if path.endswith((".gif", ".png", ".svg")) else "blob"
    return f"]({home}/{kind}/{tag}/{path})"


readme = Path("README.md")
text = re.sub(r"\]\((?!https?://|#|mailto:)([^)\s]+)\)", absolute, readme.read_text(encoding="utf-8"))
readme.write_text(text, encoding="utf-8")
project = Path("pyproject.toml")
addresses = {"Source": home, "Issues": f"{home}/issues", "Changelog": f"{home}/blob/{tag}/CHANGELOG.md"}
lines = ["", "[project.urls]", *(f'{name} = "{address}"' for name, address in addresses.items()), ""]
with project.open("a", encoding="utf-8") as file:
    file.write("\n".join(lines))
