"""A class service for tests of what a place does: the API that places use, on a real port, in this process.

It can be stopped and started again; what it holds is kept, as the real one's database is.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "the-place's-token"


class ClassService:
    """What it was sent is in `records`, `done`, `views`, and `commands`; `send` makes events."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, int], dict[str, Any]] = {}
        self.requests: list[tuple[str, Any]] = []  # all POSTs, also those that failed
        self.done: list[dict[str, Any]] = []
        self.views: list[dict[str, Any]] = []
        self.commands: list[dict[str, Any]] = []
        self.events: list[tuple[int, str, dict[str, Any]]] = []
        self.resumed: list[str | None] = []  # the Last-Event-ID of each connection
        self.forget_answers = 0  # how many answers to records get lost on the way, after they were kept
        self.largest = 1_000_000  # how many records it takes at once
        self.refused = ""  # a name that it takes no records of
        self.changed = threading.Condition()
        self._server: ThreadingHTTPServer | None = None
        self._port = 0
        self._run = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/services/class"

    def start(self) -> "ClassService":
        self._server = _Server(("127.0.0.1", self._port), _Handler)
        self._server.service = self  # type: ignore[attr-defined]
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self) -> None:
        """As if it was killed: every connection breaks."""
        assert self._server
        with self.changed:
            self._run += 1
            self.changed.notify_all()
        self._server.shutdown()
        self._server.server_close()
        self._server = None

    def __enter__(self) -> "ClassService":
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self._server:
            self.stop()

    def send(self, event: str, **data: Any) -> int:
        """Make an event, which has the next number; return that."""
        with self.changed:
            number = len(self.events) + 1
            self.events.append((number, event, data))
            self.changed.notify_all()
        return number

    def post(self, path: str, body: Any) -> tuple[int, Any]:
        """Take what a place sends; return the status and the answer."""
        with self.changed:
            self.requests.append((path, body))
            try:
                return self._post(path, body)
            finally:
                self.changed.notify_all()

    def _post(self, path: str, body: Any) -> tuple[int, Any]:
        match path:
            case "records":
                if len(body["records"]) > self.largest:
                    return 413, None
                if self.refused in [record["name"] for record in body["records"]]:
                    return 400, {"error": "name is not one of an exercise or a chapter"}
                for record in body["records"]:
                    self.records.setdefault((body["journal"], record["id"]), record)
                held = [number for journal, number in self.records if journal == body["journal"]]
                if self.forget_answers:
                    self.forget_answers -= 1
                    return 0, None
                return 200, {"last": max(held, default=0)}
            case "done" | "view" | "commands":
                kept = {"done": self.done, "view": self.views, "commands": self.commands}[path]
                kept.extend(body if isinstance(body, list) else [body])
                return 200, {}
        return 404, None

    def wait(self, wanted: Any, seconds: float = 20) -> None:
        """Wait until `wanted()` is true."""
        with self.changed:
            assert self.changed.wait_for(wanted, seconds), f"not within {seconds:g} s: {vars(self)}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    service: ClassService


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""

    @property
    def service(self) -> ClassService:
        assert isinstance(self.server, _Server)
        return self.server.service

    def _allowed(self) -> bool:
        if self.headers.get("Authorization") == f"token {TOKEN}":
            return True
        self._answer(403, None)
        return False

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self._allowed():
            status, answer = self.service.post(self.path.removeprefix("/services/class/api/"), body)
            if status:
                self._answer(status, answer)
            else:
                self.close_connection = True

    def _answer(self, status: int, answer: Any) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        if self.path != "/services/class/api/inbox":
            return self._answer(404, None)
        if not self._allowed():
            return None
        service, last = self.service, self.headers.get("Last-Event-ID")
        service.resumed.append(last)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.close_connection = True
        sent, run = int(last or 0), service._run
        while True:
            with service.changed:
                while len(service.events) == sent and service._run == run:
                    service.changed.wait()
                new = service.events[sent:]
            if service._run != run:
                return None
            for sent, event, data in new:
                text = f"id: {sent}\nevent: {event}\ndata: {json.dumps(data)}\n\n"
                try:
                    self.wfile.write(text.encode())
                    self.wfile.flush()
                except OSError:
                    return None
