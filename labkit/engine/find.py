"""Finds the user's Docker engine and connects to engines."""

import math
import ssl
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import docker
from docker.errors import DockerException

from labkit.engine import rootless, ssh
from labkit.engine.client import EngineAPI, EngineClient
from labkit.engine.endpoints import Endpoint, Failure, candidates, chosen_by_user
from labkit.engine.host_info import next_step, this_host
from labkit.engine.tls import Credentials
from labkit.transport import api_version
from labkit.util.errors import EngineNotFound, EngineUnsuitable
from labkit.util.text import version_number

PING_SECONDS = 3
SSH_SECONDS = 20  # to connect to another host and sign in there
PERMISSION_DENIED = "permission denied"
NO_TRUST = "TLS failed"
_TIMED_OUT = f"timed out after {PING_SECONDS} s"

_REASONS: tuple[tuple[type[OSError], str], ...] = (
    (FileNotFoundError, "no such file"),
    (PermissionError, PERMISSION_DENIED),
    (ConnectionRefusedError, "connection refused: no engine is listening"),
    (TimeoutError, _TIMED_OUT),
)


def own_engine() -> Endpoint:
    """Return the user's engine.

    Tried in this order: DOCKER_HOST, the current docker context, /var/run/docker.sock, Docker Desktop,
    rootless Docker. If DOCKER_HOST or DOCKER_CONTEXT is set, it's the only candidate: labkit never
    silently replaces the user's explicit choice.

    Raises `EngineNotFound` with a line of evidence for each place, and `EngineUnsuitable` for an engine
    that answers but can't run a lab.
    """
    failures = []
    for candidate in candidates():
        answer = ask(candidate) if isinstance(candidate, Endpoint) else candidate
        if isinstance(answer, Endpoint):
            return answer
        failures.append(answer)
    width = max(len(failure.source) for failure in failures)
    raise EngineNotFound(
        "no Docker engine answered",
        evidence=[f"{source:<{width}}   {reason}" for source, reason in failures],
        next_step=_next_step([failure.reason for failure in failures]),
    )


def _next_step(reasons: Sequence[str]) -> str:
    if rootless.PODMAN in reasons:
        return rootless.instead()
    return next_step(
        this_host(),
        chosen=chosen_by_user(),
        denied=PERMISSION_DENIED in reasons,
        distrusted=any(reason.startswith(NO_TRUST) for reason in reasons),
    )


def connect(engine: Endpoint, timeout: float = 60) -> docker.DockerClient:
    """Return a new client for an engine that was found; each of its calls may take `timeout` seconds."""
    return EngineClient(
        base_url=engine.url,
        version=engine.api_version,  # known from `ask`, which saves a round trip
        timeout=math.ceil(timeout),
        tls=_tls(engine),
    )


def ask(candidate: Endpoint) -> Endpoint | Failure:
    """Ping an engine; return its endpoint with the API version to use, or why there's none.

    Waits up to 3 s for an answer, or 20 s over ssh.
    The requests carry no version, because an engine refuses the versions that are too old for it.
    Raises `EngineUnsuitable` if the engine is too old or runs Windows containers.
    """
    over_ssh = candidate.url.startswith(ssh.SCHEME)
    seconds = SSH_SECONDS if over_ssh else PING_SECONDS
    try:
        with EngineAPI(
            base_url=candidate.url,
            version=api_version.OLDEST,  # docker-py asks the engine if it isn't given one
            timeout=seconds,
            tls=_tls(candidate),
        ) as api:
            # Not api.ping(), which discards the headers: they hold the versions.
            reply = api.get(f"{api.base_url}/_ping", timeout=seconds)
            if reply.status_code != 200:
                return Failure(candidate.source, f"answered HTTP {reply.status_code}: {reply.text.strip()}")
            if rootless.is_podman(reply.headers):
                return Failure(candidate.source, rootless.PODMAN)
            newest = api_version.announced(reply.headers)
            if newest is None:
                return Failure(candidate.source, "what answered is not a Docker engine")
            _require_suitable(candidate, newest, reply.headers.get("Ostype", "linux"))
            version = api_version.choose(newest, lambda: _version(api))
    except (DockerException, OSError, ValueError) as error:  # requests' own errors are OSError or ValueError
        reason = _reason(error)
        late = f"timed out after {seconds} s"
        return Failure(candidate.source, late if reason == _TIMED_OUT and over_ssh else reason)
    return replace(candidate, api_version=version)


def _version(api: docker.APIClient) -> Any:
    reply = api.get(f"{api.base_url}/version", timeout=PING_SECONDS)
    return reply.json() if reply.status_code == 200 else None


def _require_suitable(engine: Endpoint, newest: str, containers: str) -> None:
    if containers == "windows":
        raise EngineUnsuitable(
            f"the Docker engine at {engine.url} runs Windows containers",
            evidence=["Swarm Lab's nodes are Linux containers"],
            next_step="in Docker Desktop's menu, choose “Switch to Linux containers”",
        )
    if version_number(newest) < version_number(api_version.OLDEST):
        raise EngineUnsuitable(
            f"the Docker engine at {engine.url} is too old",
            evidence=[
                f"it speaks API {newest}; Swarm Lab needs {api_version.OLDEST} or newer (Docker 20.10)"
            ],
            next_step="update Docker: https://docs.docker.com/engine/install/",
        )


def _tls(engine: Endpoint) -> Credentials | bool:
    if engine.cert_path is None:
        return False
    return Credentials(
        client_cert=(str(engine.cert_path / "cert.pem"), str(engine.cert_path / "key.pem")),
        ca_cert=str(engine.cert_path / "ca.pem"),
        verify=engine.verify,
    )


def _reason(error: BaseException) -> str:
    """Say why the engine didn't answer: docker-py and requests wrap the system's error several times."""
    if isinstance(error, DockerException):
        return str(error)
    seen = {id(error)}
    while (cause := error.__cause__ or error.__context__ or _wrapped(error)) and id(cause) not in seen:
        seen.add(id(cause))  # two errors may refer to each other
        error = cause
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"{NO_TRUST}: its certificate is not trusted here: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        said = (error.reason or str(error)).lower().replace("_", " ")
        return f"{NO_TRUST}: {'it refused cert.pem: ' if 'alert' in said else ''}{said}"
    return next((words for kind, words in _REASONS if isinstance(error, kind)), str(error) or repr(error))


def _wrapped(error: BaseException) -> BaseException | None:
    """The error that an error was constructed with: urllib3 keeps it there, and not always as the cause."""
    last = error.args[-1] if error.args else None
    return last if isinstance(last, BaseException) else None
