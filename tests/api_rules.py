"""Which versions of the API an engine accepts, for servers that answer in its place.

The rules and the words are those of moby v28.5.2, api/server/middleware/version.go.
"""

import re
from dataclasses import dataclass

from labkit.util.text import version_number

_PATH = re.compile(r"(?:/v(?P<version>[0-9.]+))?(?P<path>/.*)")


@dataclass(frozen=True)
class Versions:
    """The newest and the least version that one engine accepts. The defaults are those of Docker 26.1."""

    newest: str = "1.45"
    least: str = "1.24"

    def refusal(self, path: str) -> str | None:
        """What the engine answers with status 400 to a request for this path; None if it accepts it."""
        asked = _parts(path)[0] or self.newest
        if version_number(asked) < version_number(self.least):
            return (
                f"client version {asked} is too old. Minimum supported API version is {self.least}, "
                "please upgrade your client to a newer version"
            )
        if version_number(asked) > version_number(self.newest):
            return f"client version {asked} is too new. Maximum supported API version is {self.newest}"
        return None


def _parts(path: str) -> tuple[str, str]:
    found = _PATH.fullmatch(path)
    assert found, path
    return found["version"] or "", found["path"]


def without_version(path: str) -> str:
    """The path of a request without the version at its start."""
    return _parts(path)[1]
