"""A container's log on its way to a WebDAV server.

WebDAV cannot append: a log is a row of segments. The newest one is uploaded again as it grows; a full one is
never touched again. Source: RFC 4918 (PUT, MKCOL).
"""

import base64
import http.client
import logging
import re
import threading
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote, urlsplit

SEGMENT = 256 * 1024  # bytes of a full segment
BUFFER = 1024 * 1024  # bytes of a container's log in memory at most

REQUEST_SECONDS = 5.0
RETRY_SECONDS = 8.0  # the longest pause between two attempts
GIVE_UP_SECONDS = 60.0  # how long a stopped container's last lines are kept for the storage
STALL_SECONDS = 1.0  # how long a container may wait for a storage that answers, but slowly

say = logging.getLogger("webdav-log")


class OptionError(ValueError):
    """An option that the plugin does not know or cannot use."""


def stamp(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, 10**9)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest // 1000:06}Z"


class WebDav:
    """Puts files on a WebDAV server. Raises OSError when it does not work; no message tells the password."""

    def __init__(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            self._host, self._port = parts.hostname or "", parts.port or 80
        except ValueError:
            parts = urlsplit("")
        if parts.scheme != "http" or not self._host or parts.query or parts.fragment:
            raise OptionError("url must look like http://HOST:PORT/FOLDER (https is not supported)")
        self._folder = quote(parts.path.rstrip("/"), safe="/%")
        self._headers = {"Content-Type": "text/plain; charset=utf-8"}
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        self.name = f"http://{self._host}:{self._port}{self._folder}"

    def put(self, path: str, content: bytes) -> None:
        """Write a file, making the collections that it lies in."""
        path = f"{self._folder}/{path}"
        status = self._request("PUT", path, content)
        if status in (404, 409):  # RFC 4918 wants 409 where a collection is missing; many servers say 404
            for slash in list(re.finditer("/", path))[1:]:
                self._request("MKCOL", path[: slash.start()] + "/")
            status = self._request("PUT", path, content)
        if not 200 <= status < 300:
            raise OSError(f"PUT was answered with status {status}")

    def _request(self, method: str, path: str, body: bytes | None = None) -> int:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=REQUEST_SECONDS)
        try:
            connection.request(method, path, body, self._headers)
            with connection.getresponse() as response:
                response.read()
                return response.status
        except (http.client.HTTPException, ValueError) as error:
            raise OSError(f"{method}: no usable answer ({type(error).__name__})") from error
        finally:
            connection.close()


class Log:
    """A container's log on its way to the storage: a bounded buffer that a thread of its own uploads.

    `pending` is what an earlier process left: the log goes on with that segment instead of a new one.
    """

    def __init__(
        self, storage: WebDav, path: str, flush: float, pending: Mapping[str, Any] | None = None
    ) -> None:
        now = stamp(time.time_ns()).replace("-", "").replace(":", "")
        pending = pending or {"path": f"{path}.{now[:19]}Z", "number": 1, "text": ""}
        self._storage, self._flush = storage, flush
        self._path: str = pending["path"]
        self._number: int = pending["number"]
        # From the start of the current segment on, whole lines.
        self._text = bytearray(pending["text"].encode("latin-1"))
        self._sent = 0  # how much of it the storage has
        self._dropped = self._dropped_from = self._dropped_to = 0
        self._failing = self._hurry = self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._upload, daemon=True)
        self._thread.start()

    def add(self, nanoseconds: int, line: bytes) -> None:
        """Take a line (with its end). It is dropped when the storage has not taken the lines before it.

        After the first dropped line all are dropped until a segment could be uploaded: one gap, one notice.
        """
        with self._changed:
            if not self._dropped and not self._fits(line):
                self._changed.wait_for(lambda: self._failing or self._fits(line), STALL_SECONDS)
            if self._dropped or not self._fits(line):
                self._dropped_from = self._dropped_from if self._dropped else nanoseconds
                self._dropped, self._dropped_to = self._dropped + 1, nanoseconds
                return
            self._text += line
            self._hurry |= len(self._text) >= SEGMENT and not self._failing
            if self._hurry or len(self._text) - len(line) == self._sent:  # else the thread waits for the time
                self._changed.notify_all()

    def close(self, seconds: float) -> bool:
        """Upload what is there, and wait `seconds` for it at most. Returns whether the storage has it all."""
        with self._changed:
            self._closed = self._hurry = True
            self._changed.notify_all()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def pending(self) -> dict[str, Any]:
        """The current segment and what comes after it, for another process to go on with."""
        with self._changed:
            self._tell_dropped()
            return {"path": self._path, "number": self._number, "text": self._text.decode("latin-1")}

    def _fits(self, line: bytes) -> bool:
        return len(self._text) + len(line) <= BUFFER

    def _upload(self) -> None:
        pause, give_up = self._flush, 0.0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or len(self._text) > self._sent)
                if len(self._text) == self._sent:
                    return
                self._changed.wait_for(lambda: self._hurry, pause)
                self._hurry = False
                full = len(self._text) >= SEGMENT
                size = self._text.index(b"\n", SEGMENT - 1) + 1 if full else len(self._text)
                give_up = give_up or (time.monotonic() + GIVE_UP_SECONDS if self._closed else 0.0)
            try:
                self._put(size)
            except OSError as error:
                if not self._failing:
                    say.warning("%s: %s: %s; trying again", self._path, self._storage.name, error)
                pause = min(max(pause, 0.5) * 2, max(RETRY_SECONDS, self._flush))
                with self._changed:
                    self._failing = True
                    self._changed.notify_all()
                    lost = self._text.count(b"\n", self._sent) + self._dropped
                if give_up and time.monotonic() > give_up:
                    say.error("%s: %d lines lost: %s did not answer", self._path, lost, self._storage.name)
                    return
                continue
            if self._failing:
                say.info("%s: %s answers again", self._path, self._storage.name)
                self._failing = False
                # A server may still carry out a request that timed out, over this one: so once more.
                pause = min(self._flush, 1.0)
                continue
            pause = self._flush
            with self._changed:
                self._sent = size
                if full:
                    del self._text[:size]
                    self._sent, self._number = 0, self._number + 1
                    self._tell_dropped()
                self._hurry = self._closed or len(self._text) >= SEGMENT
                self._changed.notify_all()

    def _put(self, size: int) -> None:
        with self._changed:
            content = bytes(memoryview(self._text)[:size])
        self._storage.put(f"{self._path}-{self._number:04}.log", content)

    def _tell_dropped(self) -> None:
        if self._dropped:
            since, until = stamp(self._dropped_from), stamp(self._dropped_to)
            what = f"… {self._dropped} lines dropped, from {since} to {until}: storage did not answer"
            self._text += f"{until} webdav-log {what}\n".encode()
            say.warning("%s: %s", self._path, what)
            self._dropped = 0
