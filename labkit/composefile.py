"""The part of the Compose file format that labkit reads: `${NAME:-default}`, sections of known keys, values.

Problems are collected with their place in the file, never raised one by one.
"""

import difflib
import ipaddress
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

Parsers = Mapping[str, Callable[[Any], Any]]

_VARIABLE = re.compile(r"\$\{(\w+):-([^}]*)\}")
_SIZE = re.compile(r"(\d+)([kmg]?)b?", re.IGNORECASE)
_DURATION = re.compile(r"(?:(\d+)m)?(?:(\d+)s)?")


class Reader:
    """Reads sections of a parsed YAML document and remembers every problem as `place: what`."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.env = env
        self.problems: list[str] = []

    def section(self, place: str, body: Any, parsers: Parsers, required: Collection[str]) -> dict[str, Any]:
        """Parse a mapping key by key; unknown, missing and malformed keys become problems."""
        if not isinstance(body, dict):
            self.problem(place or "the file", "expected keys and values")
            return {}
        parsed = {}
        for key, value in body.items():
            where = f"{place}.{key}" if place else str(key)
            if str(key).startswith("x-"):
                continue
            if key not in parsers:
                close = difflib.get_close_matches(str(key), parsers, n=1)
                self.problem(where, "unknown key" + (f"; did you mean '{close[0]}'?" if close else ""))
                continue
            try:
                parsed[key] = parsers[key](value)
            except ValueError as error:
                self.problem(where, str(error))
        for key in sorted(set(required) - body.keys()):
            self.problem(f"{place}.{key}" if place else key, "missing")
        return parsed

    def interpolated(self, value: Any) -> Any:
        match value:
            case str():
                text = _VARIABLE.sub(lambda found: self.env.get(found[1]) or found[2], value)
                if "$" in text:
                    self.problem(value, "only ${NAME:-default} is understood")
                return text
            case dict():
                return {key: self.interpolated(inner) for key, inner in value.items()}
            case list():
                return [self.interpolated(inner) for inner in value]
        return value

    def problem(self, place: str, what: str) -> None:
        self.problems.append(f"{place}: {what}")


def text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"expected text, found {value!r}")
    return value


def texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError(f"expected a list, found {value!r}")
    return tuple(text(item) for item in value)


def probe(value: Any) -> tuple[str, ...]:
    """The command of a health check's `[CMD, …]`, without the CMD."""
    match texts(value):
        case ("CMD", *command) if command:
            return tuple(command)
    raise ValueError(f"expected [CMD, a command …], found {value!r}")


def mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"expected keys and values, found {value!r}")
    return value


def labels(value: Any) -> dict[str, str]:
    return {text(key): text(label) for key, label in mapping(value).items()}


def count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"expected a whole number of at least 1, found {value!r}")
    return value


def size(value: Any) -> int:
    found = _SIZE.fullmatch(str(value))
    if not found:
        raise ValueError(f"expected a size such as 512m or 2g, found {value!r}")
    return int(found[1]) << 10 * " kmg".index(found[2].lower() or " ")


def seconds(value: Any) -> int:
    found = _DURATION.fullmatch(text(value))
    if not found or not any(found.groups()):
        raise ValueError(f"expected a duration such as 20s or 1m30s, found {value!r}")
    return int(found[1] or 0) * 60 + int(found[2] or 0)


def address(value: Any) -> str:
    return str(ipaddress.IPv4Address(text(value)))


def addresses(value: Any) -> tuple[str, ...]:
    return tuple(address(item) for item in texts(value))


def mounts(value: Any) -> tuple[tuple[str, str, str], ...]:
    return tuple(mount(line) for line in texts(value))


def mount(line: str) -> tuple[str, str, str]:
    match line.split(":"):
        case [source, target]:
            return source, target, "rw"
        case [source, target, ("ro" | "rw") as mode]:
            return source, target, mode
    raise ValueError(f"expected SOURCE:TARGET or SOURCE:TARGET:ro, found '{line}'")


# The keys of each section that labkit knows, with what reads their values.
TOP: Parsers = {
    "name": text,
    "services": mapping,
    "networks": mapping,
    "volumes": mapping,
}
SERVICE: Parsers = {
    "image": text,
    "build": text,
    "command": texts,
    "environment": labels,
    "container_name": text,
    "hostname": text,
    "labels": labels,
    "networks": mapping,
    "dns": addresses,
    "volumes": mounts,
    "cap_add": texts,
    "cap_drop": texts,
    "security_opt": texts,
    "cgroup": text,
    "device_cgroup_rules": texts,
    "tmpfs": texts,
    "mem_limit": size,
    "pids_limit": count,
    "logging": mapping,
    "healthcheck": mapping,
}
# Limits, labels, an address and a readiness check are not optional; powers are.
REQUIRED = {
    "image",
    "container_name",
    "hostname",
    "labels",
    "networks",
    "mem_limit",
    "pids_limit",
    "logging",
    "healthcheck",
}
HEALTH: Parsers = {
    "test": probe,
    "interval": seconds,
    "timeout": seconds,
    "retries": count,
}
LOGGING: Parsers = {"driver": text}
JOINED: Parsers = {"ipv4_address": address}
NETWORK: Parsers = {"labels": labels, "ipam": mapping}
VOLUME: Parsers = {"name": text, "labels": labels}
