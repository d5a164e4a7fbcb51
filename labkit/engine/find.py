"""Finds the Docker engine where users have it, and connects to an engine."""

import functools
import math
import ssl
from dataclasses import replace

import docker
from docker.errors import DockerException

from labkit.engine.machine import next_step, this_machine
from labkit.engine.places import Endpoint, Failure, candidates, chosen_by_user
from labkit.engine.tls import Credentials
from labkit.errors import EngineNotFound, EngineUnsuitable

MINIMUM_API = "1.41"  # Docker 20.10
PING_SECONDS = 3
PERMISSION_DENIED = "permission denied"
NO_TRUST = "TLS failed"

_REASONS: tuple[tuple[type[OSError], str], ...] = (
    (FileNotFoundError, "no such file"),
    (PermissionError, PERMISSION_DENIED),
    (ConnectionRefusedError, "refused: no engine listens there"),
    (TimeoutError, f"timed out after {PING_SECONDS} s"),
)


@functools.cache
def own_engine() -> Endpoint:
    """Return the engine that the user has.

    Tried in this order: DOCKER_HOST, the current docker context, /var/run/docker.sock, Docker Desktop,
    rootless Docker. DOCKER_HOST or DOCKER_CONTEXT, when set, is the only candidate: a user's explicit
    choice is never silently replaced. The first answer is remembered until `cache_clear()`.

    Raises `EngineNotFound` with a line of evidence for each place, and `EngineUnsuitable` for an engine
    that answers and cannot carry a lab.
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
        next_step=next_step(
            this_machine(),
            chosen=chosen_by_user(),
            denied=any(failure.reason == PERMISSION_DENIED for failure in failures),
            distrusted=any(failure.reason.startswith(NO_TRUST) for failure in failures),
        ),
    )


def connect(engine: Endpoint, timeout: float = 60) -> docker.DockerClient:
    """Return a new client for an engine that was found; `timeout` in seconds bounds each of its calls."""
    return docker.DockerClient(
        base_url=engine.url,
        version=engine.api_version,  # known from `ask`: saves the round trip of a negotiation
        timeout=math.ceil(timeout),
        tls=_tls(engine),
        use_ssh_client=True,
    )


def ask(candidate: Endpoint) -> Endpoint | Failure:
    """Ping an engine, within 3 s; return its endpoint with the API version, or why there was no answer.

    Raises `EngineUnsuitable` when what answers is too old or runs Windows containers.
    """
    try:
        with docker.APIClient(
            base_url=candidate.url,
            version=MINIMUM_API,
            timeout=PING_SECONDS,
            tls=_tls(candidate),
            use_ssh_client=True,
        ) as api:
            # Not api.ping(): the versions are in the answer's headers, which it throws away.
            reply = api.get(f"{api.base_url}/_ping", timeout=PING_SECONDS)
    except (DockerException, OSError, ValueError) as error:  # requests' own are OSError or ValueError
        return Failure(candidate.source, _reason(error))
    if reply.status_code != 200:
        return Failure(candidate.source, f"answered HTTP {reply.status_code}: {reply.text.strip()}")
    if "Libpod-Api-Version" in reply.headers:
        return Failure(candidate.source, "podman answered; Swarm Lab needs Docker")
    version = reply.headers.get("Api-Version")
    if version is None:
        return Failure(candidate.source, "something answered that is no Docker engine")
    engine = replace(candidate, api_version=version)
    _require_suitable(engine, reply.headers.get("Ostype", "linux"))
    return engine


def _require_suitable(engine: Endpoint, containers: str) -> None:
    if containers == "windows":
        raise EngineUnsuitable(
            f"the Docker engine at {engine.url} runs Windows containers",
            evidence=["Swarm Lab's nodes are Linux containers"],
            next_step="in Docker Desktop's menu, choose “Switch to Linux containers”",
        )
    if _number(engine.api_version) < _number(MINIMUM_API):
        raise EngineUnsuitable(
            f"the Docker engine at {engine.url} is too old",
            evidence=[f"it speaks API {engine.api_version}; Swarm Lab needs {MINIMUM_API} (Docker 20.10)"],
            next_step="update Docker as https://docs.docker.com/engine/install/ says",
        )


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _tls(engine: Endpoint) -> Credentials | bool:
    if engine.cert_path is None:
        return False
    return Credentials(
        client_cert=(str(engine.cert_path / "cert.pem"), str(engine.cert_path / "key.pem")),
        ca_cert=str(engine.cert_path / "ca.pem"),
        verify=engine.verify,
    )


def _reason(error: BaseException) -> str:
    """Say why nobody answered; the system's own error lies under several of docker-py's and requests'."""
    if isinstance(error, DockerException):
        return str(error)
    while cause := error.__cause__ or error.__context__ or _told_by(error):
        error = cause
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"{NO_TRUST}: its certificate was refused here: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        said = (error.reason or str(error)).lower().replace("_", " ")
        return f"{NO_TRUST}: {'it refused cert.pem: ' if 'alert' in said else ''}{said}"
    return next((words for kind, words in _REASONS if isinstance(error, kind)), str(error) or repr(error))


def _told_by(error: BaseException) -> BaseException | None:
    """The error that an error was made with: urllib3 has it there, and not always as the cause."""
    last = error.args[-1] if error.args else None
    return last if isinstance(last, BaseException) else None
