"""The subset of the Compose file format that labkit reads: its keys and their values.

Each kind of value is a function that takes the value in the file and its place, and raises ValueError if the
value is wrong.
"""

import difflib
import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

SWARM_OVERLAYS = ipaddress.IPv4Network("10.0.0.0/8")
_VARIABLE = re.compile(r"\$\{(\w+):-([^}$]*)\}")
_SIZE = re.compile(r"([0-9]+)([kmg]?)b?", re.IGNORECASE)
_DURATION = re.compile(r"([0-9]+m)?[0-9]+s|[0-9]+m")


@dataclass(frozen=True)
class Place:
    """A place in the file. All places share the problems found so far, of which each keeps its first."""

    name: str = ""
    problems: dict[str, str] = field(default_factory=dict)

    def __truediv__(self, key: object) -> "Place":
        return Place(f"{self.name}.{key}" if self.name else str(key), self.problems)

    def read(self, kind: "Kind", value: Any) -> Any:
        """Return what `kind` makes of the value that's here; if it's wrong, None."""
        try:
            return kind(value, self)
        except ValueError as error:
            self.refuse(str(error))
            return None

    def refuse(self, problem: str) -> None:
        self.problems.setdefault(self.name or "the file", problem)


Kind = Callable[[Any, Place], Any]


def _section(required: Mapping[str, Kind], optional: Mapping[str, tuple[Kind, Any]] | None = None) -> Kind:
    """A section with known keys. Optional ones have a default; keys that start with `x-` are ignored."""
    defaults = {key: default for key, (_, default) in (optional or {}).items()}
    kinds = {**required, **{key: kind for key, (kind, _) in (optional or {}).items()}}

    def read(value: Any, place: Place) -> dict[str, Any]:
        body = {key: each for key, each in _keys_and_values(value).items() if not key.startswith("x-")}
        for key in body:
            if key not in kinds:
                close = difflib.get_close_matches(key, kinds, n=1)
                meant = f"; did you mean '{close[0]}'?" if close else ""
                (place / key).refuse(f"unknown key{meant}")
        for key in required:
            if key not in body:
                (place / key).refuse("missing")
        return defaults | {
            key: (place / key).read(kind, body[key]) for key, kind in kinds.items() if key in body
        }

    return read


def _mapping(kind: Kind) -> Kind:
    def read(value: Any, place: Place) -> dict[str, Any]:
        body = _keys_and_values(value)
        if "" in body:
            place.refuse("expected text as the key, found ''")
        return {key: (place / key).read(kind, each) for key, each in body.items()}

    return read


def _list(kind: Kind) -> Kind:
    def read(value: Any, place: Place) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise ValueError(f"expected a list, found {value!r}")
        return tuple((place / index).read(kind, each) for index, each in enumerate(value))

    return read


def _keys_and_values(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"expected keys and values, found {value!r}")
    return value


def _text(value: Any, _: Place) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"expected text, found {value!r}")
    return value


def _text_or_nothing(value: Any, place: Place) -> str:
    return "" if value == "" else _text(value, place)


def _count(value: Any, _: Place) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"expected a whole number of at least 1, found {value!r}")
    return value


def _limits(value: Any, place: Place) -> dict[str, tuple[int, int]]:
    limits: dict[str, tuple[int, int] | None] = _LIMITS(value, place)
    return {name: limit for name, limit in limits.items() if limit}


def _limit(value: Any, place: Place) -> tuple[int, int]:
    limit = _LIMIT(value, place)
    soft, hard = limit.get("soft") or 0, limit.get("hard") or 0
    if 0 < hard < soft:
        raise ValueError(f"expected soft to be at most hard, found {soft} and {hard}")
    return soft, hard


def _whole(value: Any, place: Place) -> int:
    """A count, which may also be the text that replaces a variable."""
    return _count(int(value) if isinstance(value, str) and value.isdecimal() else value, place)


def _size(value: Any, _: Place) -> int:
    found = _SIZE.fullmatch(str(value))
    if not found:
        raise ValueError(f"expected a size such as 512m or 2g, found {value!r}")
    return int(found[1]) << 10 * " kmg".index(found[2].lower() or " ")


def _duration(value: Any, _: Place) -> str:
    if not isinstance(value, str) or not _DURATION.fullmatch(value):
        raise ValueError(f"expected a duration such as 20s or 1m30s, found {value!r}")
    return value


def _address(value: Any, place: Place) -> str:
    return str(ipaddress.IPv4Address(_text(value, place)))


def _subnet(value: Any, place: Place) -> ipaddress.IPv4Network:
    subnet = ipaddress.IPv4Network(_text(value, place))
    if subnet.overlaps(SWARM_OVERLAYS):
        raise ValueError(f"{subnet} overlaps {SWARM_OVERLAYS}, where Swarm places overlay networks")
    return subnet


def _mount(value: Any, _: Place) -> tuple[str, str, str]:
    match value.split(":") if isinstance(value, str) else ():
        case [source, target, *mode] if mode in ([], ["ro"], ["rw"]):
            return source, target, mode[0] if mode else "rw"
    raise ValueError(f"expected SOURCE:TARGET or SOURCE:TARGET:ro, found {value!r}")


def _probe(value: Any, place: Place) -> tuple[str, ...]:
    match _TEXTS(value, place):
        case ("CMD", *command) if command:
            return tuple(command)
    raise ValueError(f"expected [CMD, a command …], found {value!r}")


def _one_pool(value: Any, place: Place) -> tuple[Any, ...]:
    pools: tuple[Any, ...] = _list(_section({"subnet": _subnet}))(value, place)
    if len(pools) != 1:
        raise ValueError(f"expected one subnet, found {value!r}")
    return pools


def _build(value: Any, place: Place) -> dict[str, Any]:
    if isinstance(value, dict):
        built: dict[str, Any] = _BUILD(value, place)
        return built
    return {"context": _text(value, place), "args": {}}


_TEXTS = _list(_text)
_LABELS = _mapping(_text)
_LIMIT = _section({"soft": _whole, "hard": _whole})
# The engine's limits (docker/go-units, ulimit.go) that a node could need.
_LIMITS = _section({}, dict.fromkeys(("core", "memlock", "nofile", "nproc", "stack"), (_limit, None)))
_BUILD = _section({"context": _text}, {"args": (_section({"DOCKER": _text, "BASE": _text}), {})})
_HEALTHCHECK = _section({"test": _probe, "interval": _duration, "timeout": _duration, "retries": _count})
# Limits, labels, an address and a health check are required; privileges are optional.
_SERVICE = _section(
    {
        "image": _text,
        "container_name": _text,
        "hostname": _text,
        "labels": _LABELS,
        "networks": _mapping(_section({"ipv4_address": _address})),
        "mem_limit": _size,
        "pids_limit": _count,
        "logging": _section({"driver": _text}),
        "healthcheck": _HEALTHCHECK,
    },
    {
        "build": (_build, None),
        "command": (_TEXTS, ()),
        "environment": (_mapping(_text_or_nothing), {}),
        "dns": (_list(_address), ()),
        "volumes": (_list(_mount), ()),
        "cap_add": (_TEXTS, ()),
        "cap_drop": (_TEXTS, ()),
        "security_opt": (_TEXTS, ()),
        "cgroup": (_text, None),
        "device_cgroup_rules": (_TEXTS, ()),
        "tmpfs": (_TEXTS, ()),
        "ulimits": (_limits, {}),
    },
)
_NETWORK = _section({"labels": _LABELS, "ipam": _section({"config": _one_pool})})
_VOLUME = _section({"labels": _LABELS}, {"name": (_text, "")})
_FILE = _section(
    {"name": _text, "services": _mapping(_SERVICE), "networks": _mapping(_NETWORK)},
    {"volumes": (_mapping(_VOLUME), {})},
)


def parse(document: Any, env: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the file's values, with None in place of what's wrong, and the problems by place."""
    top = Place()
    try:
        return top.read(_FILE, _interpolated(document, env, top)) or {}, top.problems
    except RecursionError:  # an alias inside its own anchor
        return {}, {"the file": "nested too deeply"}


def _interpolated(value: Any, env: Mapping[str, str], place: Place) -> Any:
    """Copy `value` with `${NAME:-default}` replaced, and without characters that UTF-8 can't encode."""
    match value:
        case str():
            text = _VARIABLE.sub(lambda found: env.get(found[1]) or found[2], value)
            if "$" in _VARIABLE.sub("", value):
                place.refuse(f"only ${{NAME:-default}} is supported, found {value!r}")
            elif _encodable(text) != text:
                place.refuse(f"expected text, found {text!r}")
            return _encodable(text)
        case list():
            return [_interpolated(each, env, place / index) for index, each in enumerate(value)]
        case dict():
            copy = {}
            for key, each in value.items():
                name = _encodable(str(key))
                where = place / name
                if name != key:
                    where.refuse(f"expected text as the key, found {key!r}")
                copy[name] = each if where.name.startswith("x-") else _interpolated(each, env, where)
            return copy
    return value


def _encodable(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()
