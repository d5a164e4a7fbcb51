"""The proxies that an engine's containers need to reach the internet.

Only what really goes there gets them: builds of images, and the lab's registry on its way to Docker Hub.
Docker itself puts the client's `proxies` into every container (https://docs.docker.com/engine/cli/proxy/),
where even a health check of the container's own port would go to the proxy.
"""

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import docker
from docker.utils.proxy import ProxyConfig

CONFIGURATION = "the Docker client's configuration"
ENVIRONMENT = "the environment"


@dataclass(frozen=True)
class Proxies:
    """Proxies as URLs, each empty if there is none; `no_proxy` lists the hosts that are reached without one.

    `source` says who named them.
    """

    http: str = ""
    https: str = ""
    no_proxy: str = ""
    source: str = ""

    def __bool__(self) -> bool:
        return bool(self.http or self.https)

    def variables(self) -> dict[str, str]:
        """The environment of a program that is to use them; some programs read only one of the spellings."""
        values = {"HTTP_PROXY": self.http, "HTTPS_PROXY": self.https, "NO_PROXY": self.no_proxy}
        if not self:
            return {}
        return {
            spelling: value for name, value in values.items() if value for spelling in (name, name.lower())
        }

    def evidence(self) -> list[str]:
        """A line for an error: which proxy was used, and who named it."""
        return [f"through the proxy {self.http or self.https}, from {self.source}"] if self else []

    def towards(self, url: str) -> str:
        """The proxy for a URL, or an empty string."""
        parts = urlsplit(url)
        proxy = self.http if parts.scheme == "http" else self.https
        return "" if self._is_excepted(parts.hostname or "") else proxy

    def _is_excepted(self, host: str) -> bool:
        return any(_covers(each.strip(), host) for each in self.no_proxy.split(","))


def of(client: docker.DockerClient, environment: Mapping[str, str] = os.environ) -> Proxies:
    """The proxies for containers of the client's engine.

    The Docker client's configuration counts (`proxies` in ~/.docker/config.json), because it is about
    containers. If it names none, the environment does. A proxy on this computer's loopback address is left
    out: in a container, that address is the container's own.
    """
    # What docker-py has read for this engine. It has no public name (7.1).
    named: ProxyConfig = getattr(client.api, "_proxy_configs")  # noqa: B009
    found = [
        Proxies(named.http or "", named.https or "", named.no_proxy or "", CONFIGURATION),
        Proxies(
            _variable(environment, "http"),
            _variable(environment, "https"),
            _variable(environment, "no"),
            ENVIRONMENT,
        ),
    ]
    usable = (replace(each, http=_usable(each.http), https=_usable(each.https)) for each in found)
    return next(filter(None, usable), Proxies())


def _variable(environment: Mapping[str, str], name: str) -> str:
    return environment.get(f"{name}_proxy") or environment.get(f"{name.upper()}_PROXY") or ""


def _usable(proxy: str) -> str:
    """The proxy, unless it listens on a loopback address."""
    host = ""
    try:
        host = urlsplit(proxy if "://" in proxy else f"http://{proxy}").hostname or ""
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name, or no URL at all, which whoever uses the proxy will report
        loopback = host == "localhost"
    return "" if loopback else proxy


def _covers(exception: str, host: str) -> bool:
    """Whether an entry of NO_PROXY covers the host, as Go and curl read it: a name, a range, or `*`."""
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(exception, strict=False)
    except ValueError:
        name = exception.removeprefix("*").lstrip(".").partition(":")[0].lower()
        return exception == "*" or (bool(name) and (host == name or host.endswith(f".{name}")))
