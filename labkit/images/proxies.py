"""The proxies that an engine's containers need to reach the internet.

Only image builds and the lab's registry, which asks Docker Hub, get them. Docker itself adds the client's
`proxies` to every container (https://docs.docker.com/engine/cli/proxy/), where even a health check of the
container's own port would go to the proxy.
"""

import ipaddress
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import docker
from docker.utils.proxy import ProxyConfig

from labkit.util.console import Say

CONFIGURATION = "the Docker client's configuration"
ENVIRONMENT = "the environment"
_ANSWER_SECONDS = 1.0


@dataclass(frozen=True)
class Proxies:
    """Proxies as URLs, each empty if there is none; `no_proxy` lists the hosts that are reached without one.

    `source` says where they are configured.
    """

    http: str = ""
    https: str = ""
    no_proxy: str = ""
    source: str = ""

    def __bool__(self) -> bool:
        return bool(self.http or self.https)

    def variables(self) -> dict[str, str]:
        """The environment for a program that should use them; some programs read only one spelling."""
        values = {"HTTP_PROXY": self.http, "HTTPS_PROXY": self.https, "NO_PROXY": self.no_proxy}
        if not self:
            return {}
        return {
            spelling: value for name, value in values.items() if value for spelling in (name, name.lower())
        }

    def evidence(self) -> list[str]:
        """A line for an error: which proxy was used, and where it is configured."""
        return [f"through the proxy {self.http or self.https}, from {self.source}"] if self else []

    def towards(self, url: str) -> str:
        """The proxy for a URL, or an empty string."""
        parts = urlsplit(url)
        proxy = self.http if parts.scheme == "http" else self.https
        return "" if self._is_excepted(parts.hostname or "") else proxy

    def _is_excepted(self, host: str) -> bool:
        return any(_covers(each.strip(), host) for each in self.no_proxy.split(","))


def for_builds(client: docker.DockerClient, say: Say) -> Proxies:
    """The proxies for builds on the client's engine, if they answer: a laptop may have left their network.

    This computer tests them, and each has a second to accept a connection.
    """
    return _answering(of(client), say)


def on_this_computer(client: docker.DockerClient, say: Say) -> dict[str, str]:
    """The environment for a program that runs on this computer and needs the internet, as builds do."""
    named, own = of(client), _from_environment(os.environ)
    merged = Proxies(own.http or named.http, own.https or named.https, own.no_proxy or named.no_proxy)
    others = {
        name: value for name, value in os.environ.items() if name.lower() not in ("http_proxy", "https_proxy")
    }
    return others | _answering(merged, say).variables()


def _answering(proxies: Proxies, say: Say) -> Proxies:
    for proxy in {proxies.http, proxies.https} - {""}:
        if not answers(proxy):
            say(f"the proxy {_shown(proxy)} does not answer; continuing without it")
            return Proxies()
    return proxies


def answers(proxy: str) -> bool:
    """Whether the proxy accepts a connection."""
    try:
        host, port = _place(proxy)
        socket.create_connection((host, port), _ANSWER_SECONDS).close()
    except (OSError, ValueError):
        return False
    return True


def _shown(proxy: str) -> str:
    return proxy.rstrip("/").rpartition("@")[2].rpartition("/")[2]


def _place(proxy: str) -> tuple[str, int]:
    """Its host and port; curl defaults to port 1080 (`--proxy` in its manual)."""
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    return parts.hostname or "", parts.port or 1080


def of(client: docker.DockerClient, environment: Mapping[str, str] = os.environ) -> Proxies:
    """The proxies for containers of the client's engine.

    The Docker client's configuration (`proxies` in ~/.docker/config.json) comes first, because it is about
    containers, and the environment second. A proxy on this computer's loopback address is ignored, because
    inside a container that address means the container itself.
    """
    # What docker-py has read for this engine; there is no public name for it (7.1).
    named: ProxyConfig = getattr(client.api, "_proxy_configs")  # noqa: B009
    found = [
        Proxies(named.http or "", named.https or "", named.no_proxy or "", CONFIGURATION),
        _from_environment(environment),
    ]
    usable = (replace(each, http=_usable(each.http), https=_usable(each.https)) for each in found)
    return next(filter(None, usable), Proxies())


def _from_environment(environment: Mapping[str, str]) -> Proxies:
    def named(name: str) -> str:
        return environment.get(f"{name}_proxy") or environment.get(f"{name.upper()}_PROXY") or ""

    return Proxies(named("http"), named("https"), named("no"), ENVIRONMENT)


def _usable(proxy: str) -> str:
    """The proxy, unless it listens on a loopback address."""
    host = ""
    try:
        host, _ = _place(proxy)
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name, or not a URL, which the program that uses the proxy will report
        loopback = host == "localhost"
    return "" if loopback else proxy


def _covers(exception: str, host: str) -> bool:
    """Whether an entry of NO_PROXY covers the host, as Go and curl read it: a name, a range, or `*`."""
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(exception, strict=False)
    except ValueError:
        name = exception.removeprefix("*").lstrip(".").partition(":")[0].lower()
        return exception == "*" or (bool(name) and (host == name or host.endswith(f".{name}")))
