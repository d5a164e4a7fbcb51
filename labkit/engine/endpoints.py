"""Where to look for a Docker engine: the environment, docker contexts, the usual sockets."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from docker.context import ContextAPI
from docker.context.config import get_current_context_name


@dataclass(frozen=True)
class Endpoint:
    """A Docker engine's address.

    `source` says where it was found. `cert_path` is the folder with `ca.pem`, `cert.pem`, and `key.pem` for
    TLS; `verify` says whether to check the engine's certificate. `api_version` is empty until the engine
    has answered. `vm` is true for the engine in a virtual machine.
    """

    url: str
    source: str
    cert_path: Path | None = None
    verify: bool = True
    api_version: str = ""
    vm: bool = False


class Failure(NamedTuple):
    """A place where no engine was found, and why."""

    source: str
    reason: str


def chosen_by_user() -> str:
    """Return how the user selected an engine (`DOCKER_HOST`, a docker context), or an empty string."""
    if os.environ.get("DOCKER_HOST"):
        return "DOCKER_HOST"
    context = _context_name()
    return "" if context == "default" else f"docker context {context}"


def candidates() -> Iterator[Endpoint | Failure]:
    """Yield, in order, each endpoint to try, or why a place has none."""
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
    # Reads the TLS variables the way docker-py's from_env() does.
    url = os.environ["DOCKER_HOST"]
    verify = bool(os.environ.get("DOCKER_TLS_VERIFY"))
    folder = os.environ.get("DOCKER_CERT_PATH") or (str(Path.home() / ".docker") if verify else None)
    return Endpoint(url, f"DOCKER_HOST {url}", cert_path=Path(folder) if folder else None, verify=verify)


def _context_name() -> str:
    return os.environ.get("DOCKER_CONTEXT") or get_current_context_name()


def _from_context(name: str) -> Endpoint | Failure:
    source = f"docker context {name}"
    try:
        context = ContextAPI.get_context(name)
    except Exception as error:  # docker-py raises a bare Exception for a context file it cannot read
        return Failure(source, str(error))
    # docker-py returns None if the context doesn't exist, although its type stubs don't say so.
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
    """Return where engines listen by default: the system's, Docker Desktop's, and a rootless one."""
    if sys.platform == "win32":
        return ["npipe:////./pipe/docker_engine", "npipe:////./pipe/dockerDesktopLinuxEngine"]
    home = Path.home()
    if sys.platform == "darwin":
        return ["unix:///var/run/docker.sock", f"unix://{home}/.docker/run/docker.sock"]
    # systemd's default, for sessions without the variable (su, cron, a notebook service)
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    return [
        "unix:///var/run/docker.sock",
        f"unix://{home}/.docker/desktop/docker.sock",
        f"unix://{runtime}/docker.sock",
    ]
