"""Reads `docker-compose.dind.yml` strictly: a documented subset of Compose, every problem told at once.

The subset is what `_SERVICE`, `_NETWORK` and `_VOLUME` list, with `${NAME:-default}` in text. Anything else
is an error with its place in the file, because a key that labkit ignored would make `labkit up` and
`docker compose up` start different labs (tests hold both against each other).
"""

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from labkit import composefile
from labkit.composefile import Parsers, Reader
from labkit.errors import TopologyInvalid
from labkit.hint import DEFAULT_LAB

LAB_LABEL = "org.labkit.lab"
NODE_LABEL = "org.labkit.node"
ROLE_LABEL = "org.labkit.role"
FILE_NAME = "docker-compose.dind.yml"
SWARM_OVERLAYS = ipaddress.IPv4Network("10.0.0.0/8")

_LAB_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


@dataclass(frozen=True)
class Service:
    """One container of the lab. `memory` in bytes, `build` a folder or None.

    A health check is read and checked, but not kept: it is for `docker compose up --wait`.
    """

    name: str
    image: str
    build: Path | None
    container_name: str
    hostname: str
    labels: dict[str, str]
    address: str
    volumes: tuple[tuple[str, str, str], ...]
    cap_add: tuple[str, ...]
    security_opt: tuple[str, ...]
    cgroup: str
    device_cgroup_rules: tuple[str, ...]
    tmpfs: tuple[str, ...]
    memory: int
    pids_limit: int
    log_driver: str

    @property
    def is_node(self) -> bool:
        return NODE_LABEL in self.labels

    @property
    def role(self) -> str:
        """The role that `labkit up --swarm` gives the node: `manager` or `worker`."""
        return self.labels.get(ROLE_LABEL, "worker")


@dataclass(frozen=True)
class Topology:
    """What the file says about one lab. Volume and network names are the engine's, prefixed by the lab's."""

    lab: str
    services: tuple[Service, ...]
    network: str
    subnet: ipaddress.IPv4Network
    network_labels: dict[str, str]
    volumes: dict[str, dict[str, str]]

    @property
    def nodes(self) -> tuple[Service, ...]:
        return tuple(service for service in self.services if service.is_node)


def default_path() -> Path:
    """The file to read: LABKIT_TOPOLOGY, else the checkout's, else the one shipped in the package."""
    if chosen := os.environ.get("LABKIT_TOPOLOGY"):
        return Path(chosen)
    package = Path(__file__).parent
    checkout = package.parent / FILE_NAME
    return checkout if checkout.exists() else package / FILE_NAME


def load(path: Path | None = None, env: Mapping[str, str] = os.environ) -> Topology:
    """Read the topology. Raises TopologyInvalid with one line for every problem in the file."""
    path = path or default_path()
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TopologyInvalid(f"cannot read {path}", evidence=[str(error)]) from None
    except yaml.YAMLError as error:
        raise TopologyInvalid(
            f"{path.name} is not valid YAML", evidence=[str(error)], next_step=f"mend {path}"
        ) from None
    reader = _TopologyReader(env, path.parent)
    topology = reader.topology(document)
    if reader.problems or topology is None:
        count = len(reader.problems)
        raise TopologyInvalid(
            f"{path.name} has {count} problem{'s' if count != 1 else ''}",
            evidence=reader.problems,
            next_step=f"mend {path}   (docs/architecture.md lists the keys that labkit reads)",
        )
    return topology


class _TopologyReader(Reader):
    """Reads the whole document; `folder` is what its relative paths start from."""

    def __init__(self, env: Mapping[str, str], folder: Path) -> None:
        super().__init__(env)
        self.folder = folder

    def topology(self, document: Any) -> Topology | None:
        top = self.section("", self.interpolated(document), _TOP, required=("name", "services", "networks"))
        if self.problems and not {"services", "networks"} <= top.keys():
            return None
        lab = str(top.get("name", DEFAULT_LAB))
        if not _LAB_NAME.fullmatch(lab):
            self.problem("name", f"'{lab}' is no lab name: lower-case letters, digits, '-' and '_'")
        networks = {
            name: self.section(f"networks.{name}", body, _NETWORK, required=("labels", "ipam"))
            for name, body in top["networks"].items()
        }
        if len(networks) != 1:
            self.problem("networks", f"one network expected, found {len(networks)}")
            return None
        network, settings = next(iter(networks.items()))
        subnet = self.subnet(f"networks.{network}.ipam", settings.get("ipam"))
        volumes = {
            name: self.section(f"volumes.{name}", body, _VOLUME, required=("labels",))
            for name, body in top.get("volumes", {}).items()
        }
        services = [
            service
            for name, body in top["services"].items()
            if (service := self.service(lab, name, body, network, volumes.keys()))
        ]
        self.check_lab(lab, services, settings, volumes, subnet)
        if self.problems or subnet is None:
            return None
        return Topology(
            lab=lab,
            services=tuple(services),
            network=f"{lab}_{network}",
            subnet=subnet,
            network_labels=settings["labels"],
            volumes={f"{lab}_{name}": body["labels"] for name, body in volumes.items()},
        )

    def service(self, lab: str, name: str, body: Any, network: str, volumes: Any) -> Service | None:
        place = f"services.{name}"
        before = len(self.problems)
        got = self.section(place, body, _SERVICE, required=tuple(_SERVICE.keys() - {"build"}))
        if len(self.problems) > before:
            return None
        if set(got["networks"]) != {network}:
            self.problem(f"{place}.networks", f"expected '{network}' alone")
            return None
        address = self.section(
            f"{place}.networks.{network}",
            got["networks"][network],
            {"ipv4_address": composefile.address},
            ("ipv4_address",),
        )
        self.section(f"{place}.healthcheck", got["healthcheck"], _HEALTH, tuple(_HEALTH))
        logging = self.section(f"{place}.logging", got["logging"], {"driver": composefile.text}, ("driver",))
        mounts = []
        for source, target, mode in got["volumes"]:
            if not source.startswith("/"):
                if source not in volumes:
                    self.problem(f"{place}.volumes", f"'{source}' is not declared under volumes")
                source = f"{lab}_{source}"
            mounts.append((source, target, mode))
        if len(self.problems) > before:
            return None
        return Service(
            name=name,
            image=got["image"],
            build=self.folder / got["build"] if "build" in got else None,
            container_name=got["container_name"],
            hostname=got["hostname"],
            labels=got["labels"],
            address=address["ipv4_address"],
            volumes=tuple(mounts),
            cap_add=got["cap_add"],
            security_opt=got["security_opt"],
            cgroup=got["cgroup"],
            device_cgroup_rules=got["device_cgroup_rules"],
            tmpfs=got["tmpfs"],
            memory=got["mem_limit"],
            pids_limit=got["pids_limit"],
            log_driver=logging["driver"],
        )

    def subnet(self, place: str, ipam: Any) -> ipaddress.IPv4Network | None:
        match ipam:
            case {"config": [{"subnet": str(text), **more_of_it}], **more} if not more and not more_of_it:
                try:
                    subnet = ipaddress.IPv4Network(text)
                except ValueError as error:
                    self.problem(place, str(error))
                    return None
                if subnet.overlaps(SWARM_OVERLAYS):
                    self.problem(
                        place, f"{subnet} is inside {SWARM_OVERLAYS}, where Swarm places overlay networks"
                    )
                return subnet
            case None:
                return None
        self.problem(place, "expected config with one subnet and nothing else")
        return None

    def check_lab(
        self,
        lab: str,
        services: list[Service],
        network: Mapping[str, Any],
        volumes: Mapping[str, Mapping[str, Any]],
        subnet: ipaddress.IPv4Network | None,
    ) -> None:
        """What a lab needs beyond well-formed parts: labels that find it again, roles, distinct addresses."""
        labelled = [(f"services.{service.name}", service.labels) for service in services]
        labelled += [("networks", network.get("labels", {}))]
        labelled += [(f"volumes.{name}", body.get("labels", {})) for name, body in volumes.items()]
        for place, labels in labelled:
            if labels.get(LAB_LABEL) != lab:
                self.problem(f"{place}.labels", f"needs {LAB_LABEL}: {lab}")
        taken: dict[str, str] = {}
        for service in services:
            place = f"services.{service.name}"
            if service.is_node and service.labels[NODE_LABEL] != service.name:
                self.problem(f"{place}.labels", f"{NODE_LABEL} must be the service's name")
            if service.role not in ("manager", "worker"):
                self.problem(f"{place}.labels", f"{ROLE_LABEL} must be manager or worker")
            if subnet and ipaddress.IPv4Address(service.address) not in subnet:
                self.problem(place, f"address {service.address} is not in {subnet}")
            if service.address in taken:
                self.problem(place, f"address {service.address} belongs to {taken[service.address]} already")
            taken[service.address] = service.name
        if services and not any(service.is_node and service.role == "manager" for service in services):
            self.problem("services", f"no node with {ROLE_LABEL}: manager")


_TOP: Parsers = {
    "name": composefile.text,
    "services": composefile.mapping,
    "networks": composefile.mapping,
    "volumes": composefile.mapping,
}
_SERVICE: Parsers = {
    "image": composefile.text,
    "build": composefile.text,
    "container_name": composefile.text,
    "hostname": composefile.text,
    "labels": composefile.labels,
    "networks": composefile.mapping,
    "volumes": composefile.mounts,
    "cap_add": composefile.texts,
    "security_opt": composefile.texts,
    "cgroup": composefile.text,
    "device_cgroup_rules": composefile.texts,
    "tmpfs": composefile.texts,
    "mem_limit": composefile.size,
    "pids_limit": composefile.count,
    "logging": composefile.mapping,
    "healthcheck": composefile.mapping,
}
_HEALTH: Parsers = {
    "test": composefile.texts,
    "interval": composefile.seconds,
    "timeout": composefile.seconds,
    "retries": composefile.count,
}
_NETWORK: Parsers = {"labels": composefile.labels, "ipam": composefile.mapping}
_VOLUME: Parsers = {"labels": composefile.labels}
