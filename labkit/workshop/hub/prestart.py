"""Starts places before anybody comes: `python -m labkit.workshop.hub.prestart LOGIN…` in the hub's container.

Asks the hub for it, as a browser would, and prints a line of JSON for each place: when it's ready, or why
not.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from typing import Any

from labkit.util.deadline import Deadline
from labkit.workshop.hub import settings

SECONDS = 900.0
_API = f"http://127.0.0.1:{settings.HUB_PORT}/hub/api"
_CONFLICT, _BAD = 409, 400


def main(logins: Sequence[str], token: str) -> int:
    """Start these places; return 1 if one of them failed."""
    failed = False
    for line in prestart(logins, token):
        print(json.dumps(line), flush=True)
        failed |= not line["ready"]
    return int(failed)


def prestart(logins: Sequence[str], token: str) -> Iterator[dict[str, Any]]:
    """Start places; yield each login with whether it's `ready`, after how many `seconds`, or `why` not."""
    started, waiting = time.monotonic(), dict.fromkeys(logins)
    for login in logins:
        _ask("POST", f"users/{login}", token, allowed=(_CONFLICT,))
        try:
            _ask("POST", f"users/{login}/server", token)
        except urllib.error.HTTPError as error:
            if error.code != _BAD:  # it runs, or is about to
                waiting.pop(login)
                yield {"login": login, "ready": False, "why": _reason(error)}
    for _ in Deadline(SECONDS).attempts(0.5):
        users = {user["name"]: user for user in _ask("GET", "users?limit=1000", token)}
        for login in list(waiting):
            server = users.get(login, {}).get("servers", {}).get("", {})
            seconds = round(time.monotonic() - started, 1)
            if server.get("ready"):
                waiting.pop(login)
                yield {"login": login, "ready": True, "seconds": seconds}
            elif not server.get("pending"):
                waiting.pop(login)
                yield {"login": login, "ready": False, "why": "it ended; the hub's log says why"}
        if not waiting:
            return
    for login in waiting:
        yield {"login": login, "ready": False, "why": f"it wasn't ready after {SECONDS:.0f} s"}


def _ask(method: str, path: str, token: str, allowed: Sequence[int] = ()) -> Any:
    request = urllib.request.Request(
        f"{_API}/{path}",
        method=method,
        headers={"Authorization": f"token {token}"},
        data=b"" if method == "POST" else None,
    )
    try:
        with urllib.request.urlopen(request, timeout=120) as reply:
            text = reply.read()
    except urllib.error.HTTPError as error:
        if error.code in allowed:
            return None
        raise
    return json.loads(text) if text else None


def _reason(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read())["message"])
    except (ValueError, KeyError):
        return str(error)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ[settings.HOUSE_TOKEN]))
