"""A Docker logging plugin that writes containers' logs to a WebDAV server, as plain text.

The engine writes a container's log into a FIFO. One thread reads it (`Stream`), another uploads it (`Log`): a
slow or missing storage never holds up a container. The files:

    URL/SERVICE/TASK.START-0001.log             of a swarm's task
    URL/CONTAINER/CONTAINER.ID.START-0001.log   of any other container

START is when this run of logging began, so that another run writes other files. Sources: Docker's page
"Docker log driver plugins" (requests); moby, daemon/logger/plugin_unix.go (the engine holds the FIFO open and
leaves it to a restarted plugin to attach to it again).

What the storage has not taken when the plugin is disabled is kept for its next start. A plugin that is killed
loses what it read since the last upload.
"""

import contextlib
import json
import logging
import os
import re
import select
import signal
import socketserver
import sys
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, NamedTuple

from log_entries import Entry, take_entries
from log_upload import Log, OptionError, WebDav, stamp

SOCKET = Path("/run/docker/plugins/webdav-log.sock")
STATE = Path("/var/lib/webdav-log")  # what to attach to again after a restart

READ = 32 * 1024  # bytes read at once
LINE = 128 * 1024  # bytes of a line; a longer one becomes several
CLOSE_SECONDS = 5.0  # how long the end of a container, or of the plugin, waits for the storage
LEAVE_SECONDS = 8.0  # the engine kills a plugin that has not ended after 10 seconds

OPTIONS = ("flush", "labels", "tag", "url")
ENGINE_OPTIONS = re.compile(
    r"mode|max-buffer-size|cache-.*"
)  # the engine's own; it hands them to plugins too

KEPT = ("Config", "ContainerID", "ContainerName", "ContainerLabels")  # no environment: it may hold secrets

say = logging.getLogger("webdav-log")


class Options(NamedTuple):
    url: str
    flush: float
    mark: str  # stands before each message


def read_options(info: Mapping[str, Any], env: Mapping[str, str]) -> Options:
    """The log options of a container over the plugin's own settings. Raises OptionError."""
    given: dict[str, str] = info.get("Config") or {}
    for name in given:
        if name not in OPTIONS and not ENGINE_OPTIONS.fullmatch(name):
            raise OptionError(f"unknown log opt {name!r}; known: {', '.join(OPTIONS)}")
    seconds = given.get("flush") or env.get("FLUSH_SECONDS") or "1"
    if not re.fullmatch(r"\d{1,4}(\.\d+)?", seconds) or not 0.1 <= float(seconds) <= 3600:
        raise OptionError(f"flush must be seconds from 0.1 to 3600, not {seconds!r}")
    tag = given.get("tag", "")
    if "{{" in tag:
        raise OptionError("tag must be plain text; templates are not supported")
    labels = info.get("ContainerLabels") or {}
    wanted = [name.strip() for name in given.get("labels", "").split(",")]
    marks = [tag, *(f"{name}={labels[name]}" for name in wanted if name in labels)]
    url = given.get("url") or env.get("URL") or "http://storage:8080/logs"
    return Options(url, float(seconds), "".join(f"{mark} " for mark in marks if mark).replace("\n", " "))


def file_name(text: str) -> str:
    """A container's or service's name as one harmless part of a path."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", text).lstrip(".")[:128] or "_"


def place(info: Mapping[str, Any]) -> str:
    """Where a container's log goes below the URL, without the segment's number."""
    labels = info.get("ContainerLabels") or {}
    short = info["ContainerID"][:12]
    container = info.get("ContainerName", "").lstrip("/") or short
    task = labels.get("com.docker.swarm.task.name")
    folder = labels.get("com.docker.swarm.service.name", container) if task else container
    return f"{file_name(folder)}/{file_name(task or container)}" + ("" if task else f".{file_name(short)}")


class Stream:
    """Reads the FIFO of a container and hands its lines to its Log. Raises OptionError, OSError.

    `request` is what the engine asked for, with what an earlier process left ("Pending") if there was one.
    """

    def __init__(self, request: Mapping[str, Any], env: Mapping[str, str]) -> None:
        info = request["Info"]
        options = read_options(info, env)
        storage = WebDav(options.url)
        self._mark = options.mark.encode()
        self._parts: dict[str, tuple[int, bytes]] = {}
        self._stopped = self._leave = False
        # Not blocking: a FIFO's opening would wait for the other side, and reading must end when it is empty.
        self._fifo = os.open(request["File"], os.O_RDONLY | os.O_NONBLOCK)
        self._wake = os.eventfd(0)
        self._log = Log(storage, place(info), options.flush, request.get("Pending"))
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def stop(self, *, leave: bool = False) -> dict[str, Any] | None:
        """Upload everything that the engine has written, in bounded time; then end.

        With `leave` reading ends after the current entry: what comes next stays in the FIFO, which the engine
        holds, for the plugin's next process. Returns what the storage did not take in time.
        """
        self._stopped, self._leave = True, leave
        os.eventfd_write(self._wake, 1)
        self._thread.join(CLOSE_SECONDS)
        os.close(self._wake)
        return None if self._log.close(CLOSE_SECONDS) else self._log.pending()

    def _read(self) -> None:
        poll = select.poll()
        for descriptor in (self._fifo, self._wake):
            poll.register(descriptor, select.POLLIN)
        data = bytearray()
        patience = 50
        while not (self._leave and not data):
            poll.poll()
            try:
                got = os.read(self._fifo, self._missing(data) if self._leave else READ)
            except BlockingIOError:
                if self._stopped and (not data or not patience):
                    break
                if self._stopped:  # the engine is still writing the rest of an entry
                    patience -= 1
                    time.sleep(0.01)
                continue
            if not got:
                break  # no engine holds the FIFO any more
            data += got
            for entry in take_entries(data):
                self._take(entry)
        for source, (when, line) in self._parts.items():
            self._add(source, when, line)
        os.close(self._fifo)
        self._log.close(0)

    @staticmethod
    def _missing(data: bytearray) -> int:
        """How much to read to come to the end of the entry that `data` begins, or nearer to it."""
        size = 4 if len(data) < 4 else 4 + int.from_bytes(data[:4], "big")
        return max(1, min(size - len(data), READ))

    def _take(self, entry: Entry) -> None:
        when, line = self._parts.pop(entry.source, (entry.time, b""))
        line += entry.line
        if entry.more and len(line) < LINE:
            self._parts[entry.source] = when, line
        else:
            self._add(entry.source, when, line)

    def _add(self, source: str, when: int, line: bytes) -> None:
        text = line.rstrip(b"\r\n").replace(b"\n", b" ")
        self._log.add(when, f"{stamp(when)} {source} ".encode() + self._mark + text + b"\n")


class Driver:
    """The plugin's side of the engine's requests."""

    def __init__(self, env: Mapping[str, str], state: Path) -> None:
        self._env, self._state = env, state
        self._streams: dict[str, Stream] = {}

    def answer(self, path: str, request: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to one request. Raises OptionError, OSError."""
        if path == "/Plugin.Activate":
            return {"Implements": ["LogDriver"]}
        if path == "/LogDriver.Capabilities":
            return {"Cap": {"ReadLogs": False}}  # the engine's own copy then serves `docker logs`
        if path == "/LogDriver.StartLogging":
            info = {key: request["Info"][key] for key in KEPT if key in request["Info"]}
            self._start({"File": request["File"], "Info": info})
        elif path == "/LogDriver.StopLogging":
            self._stop(request["File"])
        else:
            return {"Err": f"unknown request {path}"}
        return {"Err": ""}

    def resume(self) -> None:
        """Attach again to the FIFOs that an engine still holds: it does not ask a restarted plugin to."""
        for record in self._state.glob("*.json"):
            try:
                request = json.loads(record.read_text())
                os.close(os.open(request["File"], os.O_WRONLY | os.O_NONBLOCK))  # fails where nobody reads
                self._start(request)
            except OSError as error:
                say.info("not attached again: %s", error)
                record.unlink()
            except ValueError as error:  # a wrong setting: the next start may have a right one
                say.error("not attached again: %s", error)

    def leave(self) -> None:
        """Upload what was read; record for the plugin's next process what to go on with."""
        threads = []
        while self._streams:
            threads.append(threading.Thread(target=self._leave, args=self._streams.popitem(), daemon=True))
            threads[-1].start()
        deadline = time.monotonic() + LEAVE_SECONDS
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _start(self, request: Mapping[str, Any]) -> None:
        file = request["File"]
        if file in self._streams:
            raise OSError("this log is already being read")
        self._streams[file] = Stream(request, self._env)
        self._record(file).write_text(json.dumps({"File": file, "Info": request["Info"]}))
        say.debug("reading the log of %s", request["Info"].get("ContainerName"))

    def _stop(self, file: str) -> None:
        if (stream := self._streams.pop(file, None)) and (pending := stream.stop()):
            say.warning("%s: the storage did not take the end yet; trying on for a while", pending["path"])
        self._record(file).unlink(missing_ok=True)

    def _leave(self, file: str, stream: Stream) -> None:
        if pending := stream.stop(leave=True):
            record = json.loads(self._record(file).read_text())
            self._record(file).write_text(json.dumps({**record, "Pending": pending}))
            say.warning("%s: kept for the plugin's next start", pending["path"])

    def _record(self, file: str) -> Path:
        return self._state / f"{file_name(Path(file).name)}.json"


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, path: Path, driver: Driver) -> None:
        path.unlink(missing_ok=True)
        super().__init__(str(path), Handler)
        self.driver = driver


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            answer = self.server.driver.answer(self.path, json.loads(body or b"{}"))
        except (OSError, ValueError, KeyError) as error:
            say.error("%s: %s", self.path, error)
            answer = {"Err": f"webdav-log: {error}"}
        content = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/vnd.docker.plugins.v1.1+json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        say.debug(format, *args)


def main() -> None:
    level = logging.getLevelNamesMapping().get(os.environ.get("LOG_LEVEL", "info").upper(), logging.INFO)
    # Standard output: the engine takes what comes on standard error for an error.
    logging.basicConfig(level=level, format="%(levelname)s %(message)s", stream=sys.stdout)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    STATE.mkdir(mode=0o700, parents=True, exist_ok=True)
    driver = Driver(os.environ, STATE)
    driver.resume()
    server = Server(SOCKET, driver)
    with contextlib.suppress(SystemExit):
        server.serve_forever()
    driver.leave()
    os._exit(0)  # at once, though threads may still wait for the storage


if __name__ == "__main__":
    main()
