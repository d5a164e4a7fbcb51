"""Finds the seccomp profile that a service's `security_opt` names, and reads it for the engine's API.

The API takes no path, so `docker run` and Docker Compose read the file and send its content (docker/cli,
cli/command/container/opts.go, `parseSecurityOpts`). Compose looks for it beside the topology file. labkit
looks there and then beside its own package, so it finds its own profile for a copy of the topology file too,
and when it's installed from a wheel.
"""

import json
import re
from pathlib import Path

_PROFILE = re.compile(r"seccomp[=:](?!(?:unconfined|builtin)$)(.*)", re.DOTALL)
_PACKAGE_PARENT = Path(__file__).parents[2]


def with_path(option: str, folder: Path) -> str:
    """Return `option`, with an absolute path if it names a profile. `folder` is the topology file's.

    Raises ValueError if the file doesn't exist, or if it isn't a seccomp profile.
    """
    if not (found := _PROFILE.fullmatch(option)):
        return option
    places = [folder.absolute() / found[1], _PACKAGE_PARENT / found[1]]
    path = next((place for place in places if _is_file(place)), None)
    if path is None:
        raise ValueError(f"no file '{found[1]}' in {folder}")
    option = f"seccomp={path}"
    with_profile(option)
    return option


def with_profile(option: str) -> str:
    """Return what `with_path` returned, with a profile's JSON in place of its path, as the API takes it.

    Raises ValueError if the file isn't a profile.
    """
    if not (found := _PROFILE.fullmatch(option)):
        return option
    try:
        profile = json.loads(Path(found[1]).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"cannot read the seccomp profile {found[1]}: {error}") from None
    if not isinstance(profile, dict) or "defaultAction" not in profile:
        raise ValueError(f"{found[1]} is not a seccomp profile: it has no defaultAction")
    return f"seccomp={json.dumps(profile, separators=(',', ':'))}"


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # the name is too long, or has an invalid byte
        return False
