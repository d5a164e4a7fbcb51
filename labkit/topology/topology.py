"""Reads `docker-compose.dind.yml` strictly, as a documented subset of Compose; reports all problems at once.

`compose_file` defines what the file may contain, and the rules here check that its parts fit together.
Anything else is an error with its place in the file, because if labkit ignored a key, `labkit up` and `docker
compose up` would start different labs (a test compares them).
"""

import ipaddress
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from labkit.topology import compose_file, seccomp
from labkit.util.errors import TopologyInvalid
from labkit.util.text import counted

LAB_LABEL = "org.labkit.lab"
NODE_LABEL = "org.labkit.node"
SERVICE_LABEL = "org.labkit.service"
ROLE_LABEL = "org.labkit.role"
CACHE_LABEL = "org.labkit.cache"
FILE_NAME = "docker-compose.dind.yml"

_NODE_IMAGE = re.compile(r"labkit/node:(.+)")
LAB_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
LAB_NAME_RULE = "lower-case letters, digits, '-' and '_'"


@dataclass(frozen=True)
class Service:
    """One container of the lab. `memory` is in bytes; `build` is a folder or None, `build_args` for Compose.

    `ulimits` maps names to soft and hard limits. `ready` is the health check's command: it returns once
    the service answers. The check's interval is validated but not kept, because only
    `docker compose up --wait` uses it. `security_opt` has the absolute path of a seccomp profile.
    """

    name: str
    image: str
    build: Path | None
    command: tuple[str, ...]
    environment: dict[str, str]
    container_name: str
    hostname: str
    labels: dict[str, str]
    address: str
    dns: tuple[str, ...]
    volumes: tuple[tuple[str, str, str], ...]
    cap_add: tuple[str, ...]
    cap_drop: tuple[str, ...]
    security_opt: tuple[str, ...]
    cgroup: str | None
    device_cgroup_rules: tuple[str, ...]
    tmpfs: tuple[str, ...]
    ulimits: dict[str, tuple[int, int]]
    memory: int
    pids_limit: int
    log_driver: str
    ready: tuple[str, ...]
    build_args: dict[str, str] = field(default_factory=dict)

    @property
    def is_node(self) -> bool:
        return NODE_LABEL in self.labels

    @property
    def role(self) -> str:
        """The role that `labkit up --swarm` gives the node: `manager` or `worker`."""
        return self.labels.get(ROLE_LABEL, "worker")

    @property
    def api_security_opt(self) -> list[str]:
        """`security_opt` as the engine's API takes it; `docker run` takes `security_opt` itself."""
        return [seccomp.with_profile(option) for option in self.security_opt]


@dataclass(frozen=True)
class Topology:
    """What the file says about one lab. Volumes and the network have their names on the engine: `LAB_NAME`.

    A volume with its own name and the label `org.labkit.cache` is shared by all labs.
    """

    lab: str
    services: tuple[Service, ...]
    network: str
    subnet: ipaddress.IPv4Network
    network_labels: dict[str, str]
    volumes: dict[str, dict[str, str]]

    @property
    def nodes(self) -> tuple[Service, ...]:
        return tuple(service for service in self.services if service.is_node)

    @property
    def images(self) -> list[str]:
        return sorted({service.image for service in self.services})

    def with_images(self, images: Mapping[str, str]) -> "Topology":
        """The same topology with other images for some services, by service name."""
        services = (replace(each, image=images.get(each.name, each.image)) for each in self.services)
        return replace(self, services=tuple(services))


def default_path() -> Path:
    """The file to read: LABKIT_TOPOLOGY, otherwise the checkout's, otherwise the package's own."""
    if chosen := os.environ.get("LABKIT_TOPOLOGY"):
        return Path(chosen)
    package = Path(__file__).parents[1]
    checkout = package.parent / FILE_NAME
    return checkout if checkout.exists() else package / FILE_NAME


def load(path: Path | None = None, env: Mapping[str, str] = os.environ) -> Topology:
    """Read the topology. Raises TopologyInvalid with one line for every problem in the file."""
    path = path or default_path()
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise TopologyInvalid(
            f"cannot read {path}",
            evidence=[str(error)],
            next_step="check the file, or what LABKIT_TOPOLOGY names",
        ) from None
    except Exception as error:  # a YAMLError, or Python's error for a value such as 2026-13-45
        raise TopologyInvalid(
            f"{path.name} is not valid YAML", evidence=[str(error)], next_step=f"fix {path}"
        ) from None
    values, problems = compose_file.parse(document, env)
    problems = dict(_broken_rules(values)) | dict(_broken_profiles(values, path.parent)) | problems
    if problems:
        raise TopologyInvalid(
            f"{path.name} has {counted(len(problems), 'problem')}",
            evidence=[f"{place}: {problem}" for place, problem in problems.items()],
            next_step=f"fix {path}   (docs/architecture.md lists the keys that labkit reads)",
        )
    lab, volumes = values["name"], values["volumes"]
    [(network, settings)] = values["networks"].items()
    names = {key: volume["name"] or f"{lab}_{key}" for key, volume in volumes.items()}
    return Topology(
        lab=lab,
        services=tuple(_service(name, body, path.parent, names) for name, body in values["services"].items()),
        network=f"{lab}_{network}",
        subnet=settings["ipam"]["config"][0]["subnet"],
        network_labels=settings["labels"],
        volumes={names[key]: volume["labels"] for key, volume in volumes.items()},
    )


def _service(name: str, body: dict[str, Any], folder: Path, volume_names: Mapping[str, str]) -> Service:
    [joined] = body.pop("networks").values()
    build = body["build"] or {"context": None, "args": {}}
    body |= {
        "build": folder / build["context"] if build["context"] else None,
        "build_args": build["args"],
        "volumes": tuple((volume_names.get(source, source), *rest) for source, *rest in body["volumes"]),
        "security_opt": tuple(seccomp.with_path(option, folder) for option in body["security_opt"]),
        "memory": body.pop("mem_limit"),
        "log_driver": body.pop("logging")["driver"],
        "ready": body.pop("healthcheck")["test"],
    }
    return Service(name=name, address=joined["ipv4_address"], **body)


def _broken_rules(values: Any) -> Iterator[tuple[str, str]]:
    """What doesn't fit together in the file, each with its place. Values of None aren't checked."""
    lab, networks, services = (_at(values, key) for key in ("name", "networks", "services"))
    if lab and not LAB_NAME.fullmatch(lab):
        yield "name", f"invalid lab name '{lab}'; use {LAB_NAME_RULE}"
    if networks is not None and len(networks) != 1:
        yield "networks", f"expected one network, found {len(networks)}"
    for kind in ("networks", "volumes", "services"):
        for name, body in (_at(values, kind) or {}).items():
            labels, place = _at(body, "labels"), f"{kind}.{name}.labels"
            if labels is None:
                continue
            if kind == "volumes" and body["name"] != "":
                if CACHE_LABEL not in labels:
                    yield place, f"needs {CACHE_LABEL}: a volume with its own name is shared by all labs"
            elif lab and labels.get(LAB_LABEL) != lab:
                yield f"{place}.{LAB_LABEL}", f"must be {lab}"
    if services is not None:
        yield from _broken_roles(services)
        yield from _broken_builds(services)
        yield from _broken_connections(services, networks or {}, values.get("volumes", {}))


def _broken_roles(services: dict[str, Any]) -> Iterator[tuple[str, str]]:
    roles = set()
    for name, body in services.items():
        labels = _at(body, "labels")
        if labels is not None and NODE_LABEL not in labels:
            continue
        role = None if labels is None else labels.get(ROLE_LABEL, "worker")
        roles.add(role)
        if labels and labels[NODE_LABEL] != name:
            yield f"services.{name}.labels.{NODE_LABEL}", f"must be the service's name, {name}"
        if role not in ("manager", "worker", None):
            yield f"services.{name}.labels.{ROLE_LABEL}", "must be manager or worker"
    if not roles & {"manager", None}:
        yield "services", f"no node with {ROLE_LABEL}: manager"


def _broken_builds(services: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Node images for which Compose would build another engine than labkit does."""
    for name, body in services.items():
        image, built = _at(body, "image"), _at(body, "build", "args", "DOCKER")
        named = _NODE_IMAGE.fullmatch(image or "")
        if named and built and built != named[1]:
            yield f"services.{name}.build.args.DOCKER", f"must be {named[1]}, as in image: {image}"


def _broken_connections(services: Any, networks: Any, volumes: Any) -> Iterator[tuple[str, str]]:
    network = next(iter(networks)) if len(networks) == 1 else None
    subnet = _at(networks, network, "ipam", "config", 0, "subnet")
    owners: dict[str, str] = {}
    for name, body in services.items():
        joined, place = _at(body, "networks"), f"services.{name}.networks"
        if network and joined is not None and list(joined) != [network]:
            yield place, f"expected only '{network}'"
        if address := _at(joined, network, "ipv4_address"):
            place += f".{network}.ipv4_address"
            if subnet and ipaddress.IPv4Address(address) not in subnet:
                yield place, f"{address} is not in {subnet}"
            elif owners.setdefault(address, name) != name:
                yield place, f"{address} already belongs to {owners[address]}"
        for index, mount in enumerate(_at(body, "volumes") or ()):
            source = mount[0] if mount else "/"
            if volumes is not None and not source.startswith("/") and source not in volumes:
                yield f"services.{name}.volumes.{index}", f"'{source}' is not declared under volumes"


def _broken_profiles(values: Any, folder: Path) -> Iterator[tuple[str, str]]:
    for name, body in (_at(values, "services") or {}).items():
        for index, option in enumerate(_at(body, "security_opt") or ()):
            try:
                seccomp.with_path(option or "", folder)
            except ValueError as error:
                yield f"services.{name}.security_opt.{index}", str(error)


def _at(values: Any, *places: Any) -> Any:
    """What is at a place in the values, or None."""
    for place in places:
        try:
            values = values[place]
        except (LookupError, TypeError):
            return None
    return values
