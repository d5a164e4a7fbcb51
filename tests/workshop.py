"""A browser for tests of the workshop: it logs in through the proxy, and talks to a place's server."""

import json
import re
import ssl
import uuid
from typing import Any

import requests
import urllib3
import websocket

from labkit.util.deadline import Deadline


class Browser:
    """A browser with cookies of its own, which has clicked past the warning about the certificate."""

    def __init__(self, url: str) -> None:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        self.url = url.rstrip("/")
        self.login_name = ""
        self.session = requests.Session()
        self.session.verify, self.session.trust_env = False, False

    def login(self, name: str, code: str) -> requests.Response:
        """Fill in the login form; the answer isn't followed."""
        page = self.get("/hub/login").text
        token = re.search(r'name="_xsrf" value="([^"]*)"', page)
        assert token, page
        self.login_name = name
        form = {"username": name, "password": code, "_xsrf": token[1]}
        return self.session.post(f"{self.url}/hub/login", data=form, allow_redirects=False, timeout=30)

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.session.get(f"{self.url}{path}", timeout=60, **options)

    def open_place(self, seconds: float = 120) -> None:
        """Open the own place as the hub's page does, and wait until JupyterLab answers."""
        self.get("/hub/spawn")
        path = f"/user/{self.login_name}/lab"
        for _ in Deadline(seconds).attempts(0.5):
            answer = self.get(path)
            if answer.status_code == 200 and answer.url == f"{self.url}{path}":
                return
        raise AssertionError(
            f"no JupyterLab at {path}: {answer.status_code} {answer.url} {answer.text[:500]}"
        )

    def api(self, method: str, path: str, body: Any = None) -> requests.Response:
        """A call of the place's Jupyter server, with the cookie's XSRF token as JupyterLab sends it."""
        headers = {"X-XSRFToken": self._forgery_token}
        return self.session.request(
            method, f"{self.url}{self._base}api/{path}", json=body, headers=headers, timeout=60
        )

    def hears(self, text: str, seconds: float = 60) -> bool:
        """Whether a text comes from the class, on the stream of events that JupyterLab keeps open."""
        address, token = f"{self.url}{self._base}labkit/class/events", {"_xsrf": self._forgery_token}
        with self.session.get(address, params=token, stream=True, timeout=seconds) as stream:
            assert stream.ok, stream.text
            return any(text in line for line in stream.iter_lines(decode_unicode=True))

    @property
    def _base(self) -> str:
        return f"/user/{self.login_name}/"

    @property
    def _forgery_token(self) -> str:
        found = (c.value for c in self.session.cookies if c.name == "_xsrf" and c.path == self._base)
        return next(found, "") or ""

    def write(self, name: str, text: str) -> None:
        """Save a text file in the place."""
        answer = self.api("PUT", f"contents/{name}", {"type": "file", "format": "text", "content": text})
        assert answer.ok, answer.text

    def read(self, name: str) -> str:
        answer = self.api("GET", f"contents/{name}")
        assert answer.ok, answer.text
        return str(answer.json()["content"])

    def start_kernel(self) -> str:
        answer = self.api("POST", "kernels", {"name": "python3"})
        assert answer.ok, answer.text
        return str(answer.json()["id"])

    def run(self, kernel: str, code: str, seconds: float = 60) -> str:
        """Run code in a kernel over its websocket; return what it printed."""
        cookies = "; ".join(
            f"{c.name}={c.value}" for c in self.session.cookies if c.path.startswith("/user/")
        )
        address = f"{self.url.replace('https', 'wss')}/user/{self.login_name}/api/kernels/{kernel}/channels"
        options = {"cert_reqs": ssl.CERT_NONE, "check_hostname": False}
        socket = websocket.create_connection(
            address, cookie=cookies, origin=self.url, sslopt=options, timeout=seconds, http_no_proxy=["*"]
        )
        try:
            message = uuid.uuid4().hex
            header = {"msg_id": message, "msg_type": "execute_request", "session": message, "username": ""}
            content = {"code": code, "silent": False}
            request = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
            socket.send(json.dumps({**request, "channel": "shell", "buffers": []}))
            printed = ""
            while True:
                reply = json.loads(socket.recv())
                if reply["parent_header"].get("msg_id") != message:
                    continue
                if reply["msg_type"] == "stream":
                    printed += reply["content"]["text"]
                if reply["msg_type"] == "error":
                    raise AssertionError("\n".join(reply["content"]["traceback"]))
                if reply["msg_type"] == "status" and reply["content"]["execution_state"] == "idle":
                    return printed
        finally:
            socket.close()
