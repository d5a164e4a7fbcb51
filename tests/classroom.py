"""The class service as a process of its own, with a hub that gives the answers that JupyterHub 6.1 gives.

`HUB` answers who a token belongs to, and does the two steps of OAuth for whoever `visitor` names.

    with running(folder) as service:
        service.place("anna").records(record(1, "chapter", "run-services"))
        service.instructor.ask("GET", "class")
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import requests

from tests.helpers import eventually

ACCESS = "access:services!service=class"
TOKEN = "the-token-of-the-service-itself"
LEARNERS = ("anna", "bo", "chris", "dora", "emil", "<img src=x onerror=alert(1)>")


def user(name: str, groups: Sequence[str] = (), scopes: Sequence[str] = ()) -> dict[str, Any]:
    """A user as JupyterHub answers `GET /hub/api/user`."""
    return {
        "name": name,
        "kind": "user",
        "admin": False,
        "groups": list(groups),
        "scopes": [f"users:activity!user={name}", *scopes],
        "session_id": None,
        "token_id": "a1",
    }


@dataclass
class Hub:
    """The hub's answers. `tokens` says whose each token is; `visitor` is the token of who logs in next."""

    port: int = 0
    service: str = ""
    visitor: str = "browser-of-ines"
    down: bool = False
    tokens: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in LEARNERS:
            self.tokens[f"place-of-{name}"] = user(name)
            self.tokens[f"browser-of-{name}"] = user(name)
        self.tokens["place-of-ines"] = user("ines", ["instructors"])
        self.tokens["browser-of-ines"] = user("ines", ["instructors"], [ACCESS])
        self.tokens["browser-of-eve"] = user("eve", (), [ACCESS])  # may open services, isn't an instructor
        self.tokens["culler"] = {"name": "culler", "kind": "service", "scopes": []}


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            if hub.down:
                self._send(503, {"message": "The hub is starting"})
            elif url.path == "/hub/api/user":
                token = self.headers.get("Authorization", "").partition(" ")[2]
                known = hub.tokens.get(token)
                self._send(200 if known else 403, known or {"status": 403, "message": "Forbidden"})
            elif url.path == "/hub/api/oauth2/authorize":
                asked = {name: values[0] for name, values in parse_qs(url.query).items()}
                query = urlencode({"code": hub.visitor, "state": asked["state"]})
                self.send_response(302)
                self.send_header("Location", f"{hub.service}{asked['redirect_uri']}?{query}")
                self.end_headers()
            else:
                self._send(404, {})

        def do_POST(self) -> None:
            body = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            assert body["client_secret"] == [TOKEN]
            self._send(200, {"access_token": body["code"][0], "token_type": "Bearer"})

        def _send(self, status: int, data: Any) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(data).encode())

        def log_message(self, *_: Any) -> None:
            pass

    return Answers


@dataclass(frozen=True)
class Client:
    """Somebody who asks the service by a token."""

    base: str
    token: str

    def ask(self, method: str, path: str, body: Any = None, **options: Any) -> requests.Response:
        headers = {"Authorization": f"token {self.token}"}
        return requests.request(
            method, f"{self.base}api/{path}", json=body, headers=headers, timeout=30, **options
        )

    def records(self, *records: Mapping[str, Any], journal: str = "") -> requests.Response:
        journal = journal or str(uuid.uuid5(uuid.NAMESPACE_DNS, self.token))
        return self.ask("POST", "records", {"journal": journal, "records": list(records)})


@dataclass
class Stream:
    """Server-sent events, collected in the background until it is closed."""

    client: Client
    path: str
    last: str = ""
    events: list[tuple[str, Any, str]] = field(default_factory=list)
    _answer: requests.Response | None = None

    def __enter__(self) -> "Stream":
        headers = {"Authorization": f"token {self.client.token}"}
        headers |= {"Last-Event-ID": self.last} if self.last else {}
        url = f"{self.client.base}api/{self.path}"
        self._answer = requests.get(url, headers=headers, stream=True, timeout=60)
        assert self._answer.status_code == 200, self._answer.text
        assert self._answer.headers["Content-Type"].startswith("text/event-stream")
        threading.Thread(target=self._read, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._answer is not None
        with contextlib.suppress(OSError, AttributeError):
            self._answer.raw._connection.sock.shutdown(socket.SHUT_RDWR)  # ends the reading thread too
        self._answer.close()

    def wait(self, event: str, count: int = 1) -> list[Any]:
        """The data of the first events with this name, once there are so many."""

        def found() -> list[Any] | None:
            data = [data for name, data, _ in list(self.events) if name == event]
            return data if len(data) >= count else None

        return eventually(found, f"{count} events '{event}'") or []

    def _read(self) -> None:
        assert self._answer is not None
        name = data = number = ""
        with contextlib.suppress(requests.RequestException, OSError, ValueError, AttributeError):
            for line in self._answer.iter_lines(chunk_size=1, decode_unicode=True):
                key, _, value = str(line).partition(": ")
                if key == "event":
                    name = value
                elif key == "data":
                    data = value
                elif key == "id":
                    number = value
                elif not line and name:
                    self.events.append((name, json.loads(data), number))
                    name = data = number = ""


@dataclass
class Service:
    """The service that runs on a folder of data."""

    hub: Hub
    folder: Path
    port: int
    environment: dict[str, str]
    process: "subprocess.Popen[bytes]"
    restarted: bool = False

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}/services/class/"

    @property
    def instructor(self) -> Client:
        return Client(self.base, TOKEN)

    def place(self, name: str) -> Client:
        return Client(self.base, f"place-of-{name}")

    def inbox(self, name: str, last: str = "") -> Stream:
        return Stream(self.place(name), "inbox", last)

    def row(self, name: str) -> dict[str, Any]:
        """A learner's row."""
        found = self.instructor.ask("GET", "class").json()["learners"]
        return next((row for row in found if row["name"] == name), {})

    def kill(self) -> None:
        """End it as a crash does."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(timeout=30)

    def start(self) -> None:
        """Start it again."""
        self.restarted = True
        self.process = _spawn(self.environment)
        _wait_until_it_listens(self)


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Service]:
    """The service, and its hub, as long as the block runs."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    hub.port = server.server_port
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    hub.service = f"http://127.0.0.1:{port}"
    environment = {
        **os.environ,
        "JUPYTERHUB_API_TOKEN": TOKEN,
        "JUPYTERHUB_API_URL": f"http://127.0.0.1:{hub.port}/hub/api",
        "JUPYTERHUB_HOST": f"http://127.0.0.1:{hub.port}",
        "LABKIT_CLASS_DATA": str(folder),
        "LABKIT_CLASS_ADDRESS": f"127.0.0.1:{port}",
    }
    service = Service(hub, folder, port, environment, _spawn(environment))
    try:
        _wait_until_it_listens(service)
        yield service
    finally:
        service.process.terminate()
        service.process.wait(timeout=30)
        server.shutdown()
        server.server_close()


def _spawn(environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "labkit.workshop.classroom.service"]
    return subprocess.Popen(command, env=dict(environment), stdin=subprocess.DEVNULL)


def _wait_until_it_listens(service: Service) -> None:
    def listens() -> bool:
        assert service.process.poll() is None, "the class service has ended"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", service.port), 1):
            return True
        return False

    eventually(listens, "the class service to listen", 60)


def record(
    number: int, kind: str, name: str, ok: bool = True, ago: float = 0.0, **detail: Any
) -> dict[str, Any]:
    """A record as a place sends it; made `ago` minutes before now."""
    moment = time.time() - ago * 60
    return {
        "id": number,
        "moment": moment,
        "lab": "lab",
        "kind": kind,
        "name": name,
        "ok": ok,
        "detail": detail,
    }
