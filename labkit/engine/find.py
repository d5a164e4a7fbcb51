"""Finds the outer Docker engine where users have it, and makes every library agree on it.

Nothing else in labkit opens a Docker client of its own: `client()` is the only place.
"""

import functools
import math
import os
import threading
from dataclasses import replace

import docker
from docker.errors import DockerException
from docker.tls import TLSConfig

from labkit.engine.machine import next_step, this_machine
from labkit.engine.places import EXPORTED, Endpoint, Failure, candidates, chosen_by_user
from labkit.errors import EngineNotFound, EngineUnsuitable

_of_thread = threading.local()

MINIMUM_API = "1.41"  # Docker 20.10
PING_SECONDS = 3
PERMISSION_DENIED = "permission denied"

_REASONS: tuple[tuple[type[OSError], str], ...] = (
    (FileNotFoundError, "no such file"),
    (PermissionError, PERMISSION_DENIED),
    (ConnectionRefusedError, "refused: no engine listens there"),
    (TimeoutError, f"timed out after {PING_SECONDS} s"),
)


@functools.cache
def find() -> Endpoint:
    """Return the engine that the user has, and export `DOCKER_HOST` (with the TLS variables) for it.

    Tried in this order: DOCKER_HOST, the current docker context, /var/run/docker.sock, Docker Desktop,
    rootless Docker. DOCKER_HOST or DOCKER_CONTEXT, when set, is the only candidate: a user's explicit
    choice is never silently replaced. The first answer is remembered until `forget()`.

    Raises `EngineNotFound` with a line of evidence for each place, and `EngineUnsuitable` for an engine
    that answers and cannot carry a lab.
    """
    failures = []
    for candidate in candidates():
        answer = ask(candidate) if isinstance(candidate, Endpoint) else candidate
        if isinstance(answer, Endpoint):
            _export(answer)
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
        ),
    )


def client(timeout: float = 60) -> docker.DockerClient:
    """Return a new client for the found engine; `timeout` in seconds bounds each of its calls.

    A new one each time, because docker-py's clients are not safe across threads: use one per thread.
    Raises what `find()` raises.
    """
    engine = find()
    return docker.DockerClient(
        base_url=engine.url,
        version=engine.api_version,  # known from find(): saves the round trip of a negotiation
        timeout=math.ceil(timeout),
        tls=_tls(engine),
        use_ssh_client=True,
    )


def thread_client() -> docker.DockerClient:
    """Return this thread's client for the found engine, always the same. Raises what `find()` raises."""
    engine = find()
    if getattr(_of_thread, "engine", None) != engine:
        _of_thread.engine, _of_thread.client = engine, client()
    own: docker.DockerClient = _of_thread.client
    return own


def forget() -> None:
    """Forget the found engine, and take back the environment variables that `find()` set for it."""
    find.cache_clear()
    if os.environ.get(EXPORTED, "") == os.environ.get("DOCKER_HOST"):
        for name in ("DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", EXPORTED):
            os.environ.pop(name, None)


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


def _tls(engine: Endpoint) -> TLSConfig | bool:
    if engine.cert_path is None:
        return False
    return TLSConfig(
        client_cert=(str(engine.cert_path / "cert.pem"), str(engine.cert_path / "key.pem")),
        ca_cert=str(engine.cert_path / "ca.pem"),
        verify=engine.verify,
    )


def _export(engine: Endpoint) -> None:
    """Let docker-py, testcontainers and child processes use this engine without searching themselves."""
    if chosen_by_user() == "DOCKER_HOST":
        return  # they read the user's own variables
    wanted = {
        "DOCKER_HOST": engine.url,
        EXPORTED: engine.url,
        "DOCKER_CERT_PATH": str(engine.cert_path) if engine.cert_path else None,
        "DOCKER_TLS_VERIFY": "1" if engine.cert_path and engine.verify else None,
    }
    for name, value in wanted.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _reason(error: BaseException) -> str:
    """Say why nobody answered; the system's own error lies under several of docker-py's and requests'."""
    if isinstance(error, DockerException):
        return str(error)
    while cause := error.__cause__ or error.__context__:
        error = cause
    return next((words for kind, words in _REASONS if isinstance(error, kind)), str(error) or repr(error))
