"""Where users have their Docker engines: the environment, docker contexts, the usual sockets."""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from docker.context import ContextAPI
from docker.context.config import get_current_context_name

VARIABLES = ("DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")
# Set beside an exported DOCKER_HOST, so that child processes know it for labkit's find, not a user's choice.
EXPORTED = "LABKIT_EXPORTED_DOCKER_HOST"
# The user's own variables that an exported engine has replaced, as JSON.
_REPLACED = "LABKIT_REPLACED"


@dataclass(frozen=True)
class Endpoint:
    """A Docker engine's address.

    `source` says where it was found; `cert_path` is the folder of `ca.pem`, `cert.pem` and `key.pem` for
    TLS, and `verify` whether the engine's own certificate is checked. `api_version` is what the engine
    speaks, or empty while nobody has asked it. `machine` is true for the engine in a virtual machine.
    """

    url: str
    source: str
    cert_path: Path | None = None
    verify: bool = True
    api_version: str = ""
    machine: bool = False


class Failure(NamedTuple):
    """One place without an engine, and why."""

    source: str
    reason: str


def users_variables() -> dict[str, str]:
    """Return the variables for Docker clients as the user set them: without what `export` has set."""
    if _is_exported():
        replaced: dict[str, str] = json.loads(os.environ.get(_REPLACED, "{}"))
        return replaced
    return {name: os.environ[name] for name in VARIABLES if name in os.environ}


def export(engine: Endpoint) -> None:
    """Let docker-py, testcontainers and child processes use this engine without searching themselves."""
    os.environ[_REPLACED] = json.dumps(users_variables())
    os.environ[EXPORTED] = engine.url
    values = (
        engine.url,
        "1" if engine.cert_path and engine.verify else "",
        str(engine.cert_path) if engine.cert_path else "",
    )
    _set(dict(zip(VARIABLES, values, strict=True)))


def take_back() -> None:
    """Undo `export`."""
    if _is_exported():
        _set(users_variables())
        for name in (_REPLACED, EXPORTED):
            os.environ.pop(name, None)


def _is_exported() -> bool:
    return EXPORTED in os.environ and os.environ[EXPORTED] == os.environ.get("DOCKER_HOST")


def _set(values: Mapping[str, str]) -> None:
    for name in VARIABLES:
        os.environ.pop(name, None)
        if values.get(name):
            os.environ[name] = values[name]


def chosen_by_user() -> str:
    """Return what the user chose an engine with (`DOCKER_HOST`, a docker context), or an empty string."""
    if users_variables().get("DOCKER_HOST"):
        return "DOCKER_HOST"
    context = _context_name()
    return "" if context == "default" else f"docker context {context}"


def candidates() -> Iterator[Endpoint | Failure]:
    """Yield, in order, each place to ask, or why a place is none."""
    if chosen_by_user() == "DOCKER_HOST":
        yield _from_environment()
        return
    yield Failure("DOCKER_HOST", "not set")
    context = _context_name()
    if context != "default":
        yield _from_context(context)
        if os.environ.get("DOCKER_CONTEXT"):
            return
    for url in usual_urls():
        yield Endpoint(url, source=url.partition("://")[2])


def _from_environment() -> Endpoint:
    # The same reading of the TLS variables as docker-py's from_env().
    variables = users_variables()
    verify = bool(variables.get("DOCKER_TLS_VERIFY"))
    folder = variables.get("DOCKER_CERT_PATH") or (str(Path.home() / ".docker") if verify else None)
    return Endpoint(
        variables["DOCKER_HOST"],
        source=f"DOCKER_HOST {variables['DOCKER_HOST']}",
        cert_path=Path(folder) if folder else None,
        verify=verify,
    )


def _context_name() -> str:
    return os.environ.get("DOCKER_CONTEXT") or get_current_context_name()


def _from_context(name: str) -> Endpoint | Failure:
    source = f"docker context {name}"
    try:
        context = ContextAPI.get_context(name)
    except Exception as error:  # docker-py raises a bare Exception for a context file it cannot read
        return Failure(source, str(error))
    # docker-py answers None for a context that does not exist, though its type stubs promise one.
    if not context or not context.Host:
        return Failure(source, "no such context")
    folder = Path(context.tls_path) / "docker"
    return Endpoint(
        context.Host,
        source,
        cert_path=folder if folder.is_dir() else None,
        verify=not context.endpoints["docker"]["SkipTLSVerify"],
    )


def usual_urls() -> list[str]:
    """Return where engines listen when nobody said so: the system's, Docker Desktop's, a rootless one's."""
    if sys.platform == "win32":
        return ["npipe:////./pipe/docker_engine", "npipe:////./pipe/dockerDesktopLinuxEngine"]
    home = Path.home()
    if sys.platform == "darwin":
        return ["unix:///var/run/docker.sock", f"unix://{home}/.docker/run/docker.sock"]
    # systemd's own default, for sessions that do not carry the variable (su, cron, a notebook service)
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    return [
        "unix:///var/run/docker.sock",
        f"unix://{home}/.docker/desktop/docker.sock",
        f"unix://{runtime}/docker.sock",
    ]
