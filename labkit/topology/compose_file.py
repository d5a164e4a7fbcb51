"""The part of the Compose file format that labkit reads, as pydantic models: keys, and what values they take.

Only `topology.load` imports this module, and only when called: pydantic and the models add 85 ms of processor
time to a command, and most commands don't read the file.
"""

import difflib
import ipaddress
import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

SWARM_OVERLAYS = ipaddress.IPv4Network("10.0.0.0/8")
_VARIABLE = re.compile(r"\$\{(\w+):-([^}$]*)\}")
_SIZE = re.compile(r"(\d+)([kmg]?)b?", re.IGNORECASE)
_EXPECTED = {  # what a value should have been, by the type of pydantic's error
    **dict.fromkeys(("model_type", "dict_type"), "keys and values"),
    **dict.fromkeys(("list_type", "tuple_type"), "a list"),
    **dict.fromkeys(("string_type", "string_unicode", "string_too_short"), "text"),
    **dict.fromkeys(("int_type", "greater_than_equal"), "a whole number of at least 1"),
    **dict.fromkeys(("too_short", "too_long"), "one subnet"),
    "string_pattern_mismatch": "a duration such as 20s or 1m30s",
}


def _size(value: Any) -> int:
    found = _SIZE.fullmatch(str(value))
    if not found:
        raise ValueError(f"expected a size such as 512m or 2g, found {value!r}")
    return int(found[1]) << 10 * " kmg".index(found[2].lower() or " ")


def _subnet(text: str) -> str:
    subnet = ipaddress.IPv4Network(text)
    if subnet.overlaps(SWARM_OVERLAYS):
        raise ValueError(f"{subnet} overlaps {SWARM_OVERLAYS}, where Swarm places overlay networks")
    return str(subnet)


def _mount(value: Any) -> tuple[str, str, str]:
    match value.split(":") if isinstance(value, str) else ():
        case [source, target, *mode] if mode in ([], ["ro"], ["rw"]):
            return source, target, mode[0] if mode else "rw"
    raise ValueError(f"expected SOURCE:TARGET or SOURCE:TARGET:ro, found {value!r}")


def _probe(test: tuple[str, ...]) -> tuple[str, ...]:
    if test[:1] != ("CMD",) or len(test) == 1:
        raise ValueError(f"expected [CMD, a command …], found {list(test)}")
    return test[1:]


_Tuple = BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)
Text = Annotated[str, Field(min_length=1)]
Texts = Annotated[tuple[Text, ...], _Tuple]
Labels = dict[Text, Text]
Count = Annotated[int, Field(ge=1)]
Duration = Annotated[str, Field(pattern=r"^(\d+m)?\d+s$|^\d+m$")]
Address = Annotated[str, AfterValidator(lambda text: str(ipaddress.IPv4Address(text)))]
Subnet = Annotated[str, AfterValidator(_subnet)]


class Section(BaseModel):
    """Knows its keys. Any other key is an error, unless it starts with `x-`."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    @model_validator(mode="before")
    @classmethod
    def suggest_keys(cls, body: Any) -> Any:
        """Put in place of an unknown key's value, which nobody reads, the key that may have been meant."""
        if not isinstance(body, dict):
            return body
        return {
            key: value if key in cls.model_fields else difflib.get_close_matches(key, cls.model_fields, n=1)
            for key, value in body.items()
            if not key.startswith("x-")
        }


class Pool(Section):
    subnet: Subnet


class Ipam(Section):
    config: Annotated[tuple[Pool, ...], _Tuple, Field(min_length=1, max_length=1)]


class Network(Section):
    labels: Labels
    ipam: Ipam


class Volume(Section):
    name: Text = ""
    labels: Labels


class Joined(Section):
    ipv4_address: Address


class Logging(Section):
    driver: Text


class Healthcheck(Section):
    test: Annotated[Texts, AfterValidator(_probe)]
    interval: Duration
    timeout: Duration
    retries: Count


class Service(Section):
    """Limits, labels, an address and a health check are required; privileges are optional."""

    image: Text
    container_name: Text
    hostname: Text
    labels: Labels
    networks: dict[Text, Joined]
    mem_limit: Annotated[int, BeforeValidator(_size)]
    pids_limit: Count
    logging: Logging
    healthcheck: Healthcheck
    build: Text = ""
    command: Texts = ()
    environment: Labels = Field(default={})
    dns: Annotated[tuple[Address, ...], _Tuple] = ()
    volumes: Annotated[tuple[Annotated[tuple[str, str, str], BeforeValidator(_mount)], ...], _Tuple] = ()
    cap_add: Texts = ()
    cap_drop: Texts = ()
    security_opt: Texts = ()
    cgroup: Text = ""
    device_cgroup_rules: Texts = ()
    tmpfs: Texts = ()


class File(Section):
    name: Text
    services: dict[Text, Service]
    networks: dict[Text, Network]
    volumes: dict[Text, Volume] = Field(default={})


def parse(document: Any, env: Mapping[str, str]) -> tuple[File | None, dict[str, Any], dict[str, str]]:
    """Return the file or None, its values with None in place of what is wrong, and the problems by place."""
    problems: dict[str, str] = {}
    try:
        document = _interpolated(document, env, "", problems)
        return File.model_validate(document), document, problems
    except ValidationError as error:
        for each in error.errors():
            places = [part for part in each["loc"] if part != "[key]"]
            problems.setdefault(".".join(map(str, places)) or "the file", _told(each))
            parent = document
            for place in places[:-1]:
                parent = None if parent is None else parent[place]
            if places and parent is not None:
                parent[places[-1]] = None
    except RecursionError:  # an alias inside of what it stands for
        return None, {}, {"the file": "nested too deeply"}
    return None, document if isinstance(document, dict) else {}, problems


def _interpolated(value: Any, env: Mapping[str, str], place: str, problems: dict[str, str]) -> Any:
    """Copy `value` with `${NAME:-default}` replaced, and with nothing that UTF-8 has no bytes for."""
    match value:
        case str():
            text = _VARIABLE.sub(lambda found: env.get(found[1]) or found[2], value)
            if "$" in _VARIABLE.sub("", value):
                problems[place] = f"only ${{NAME:-default}} is supported, found {value!r}"
            elif _encodable(text) != text:
                problems[place] = f"expected text, found {text!r}"
            return _encodable(text)
        case list():
            return [_interpolated(each, env, f"{place}.{at}", problems) for at, each in enumerate(value)]
        case dict():
            copy = {}
            for key, each in value.items():
                name = _encodable(str(key))
                where = f"{place}.{name}" if place else name
                if name != key:
                    problems[where] = f"expected text as the key, found {key!r}"
                copy[name] = each if where.startswith("x-") else _interpolated(each, env, where, problems)
            return copy
    return value


def _encodable(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()


def _told(error: Any) -> str:
    kind, value = error["type"], error["input"]
    if kind == "missing":
        return "missing"
    if kind == "extra_forbidden":
        return "unknown key" + "".join(f"; did you mean '{key}'?" for key in value)
    if kind in _EXPECTED:
        return f"expected {_EXPECTED[kind]}, found {value!r}"
    return str(error["msg"]).removeprefix("Value error, ")
