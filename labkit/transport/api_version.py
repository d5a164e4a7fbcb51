"""Chooses the version of the Docker Engine API in which labkit talks to an engine.

An engine announces its newest version in the header `Api-Version` of every answer, and accepts requests
without a version in their path regardless of its minimum (moby v20.10.24 to v28.5.2,
api/server/middleware/version.go: a request without a version counts as one in the newest version).
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from labkit.util.text import version_number

OLDEST = "1.41"
"""The API version of Docker 20.10, the oldest engine that can run a lab (moby v20.10.24, api/common.go)."""
NEWEST = "1.51"
"""The API version of Docker 28.5, the newest engine that the tests run on (moby v28.5.2, api/common.go)."""

_HEADER = "Api-Version"
_MINIMUM = "MinAPIVersion"  # of the answer to `GET /version`
_VERSION = re.compile(r"\d+(\.\d+)+")


def announced(headers: Mapping[str, str]) -> str | None:
    """The newest API version that an engine knows, from its answer's headers; None if it isn't an engine."""
    version = headers.get(_HEADER, "")
    return version if _VERSION.fullmatch(version) else None


def choose(newest: str, version: Callable[[], Any]) -> str:
    """The version to use with an engine whose newest is `newest`: the highest that the tests cover.

    It's never less than the engine demands. `version` returns the engine's answer to `GET /version`, and is
    only called for an engine that is newer than all that were tested: an engine's minimum can't be above its
    newest version (moby v28.5.2, NewVersionMiddleware).
    """
    if version_number(newest) <= version_number(NEWEST):
        return newest
    answer = version()
    minimum = answer.get(_MINIMUM) if isinstance(answer, dict) else None
    if not isinstance(minimum, str) or not _VERSION.fullmatch(minimum):
        return NEWEST  # the field may be left out (moby, api/types/system/version_response.go)
    return max(NEWEST, minimum, key=version_number)
