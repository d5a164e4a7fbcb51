"""Reads `docker-compose.dind.yml` strictly: a documented subset of Compose, every problem told at once.

The subset is what `composefile` lists, with `${NAME:-default}` in text. Anything else is an error with its
place in the file, because a key that labkit ignored would make `labkit up` and `docker compose up` start
different labs (tests hold both against each other).
"""

import ipaddress
import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from labkit import composefile
from labkit.composefile import Reader
from labkit.errors import TopologyInvalid
from labkit.hint import DEFAULT_LAB

LAB_LABEL = "org.labkit.lab"
NODE_LABEL = "org.labkit.node"
SERVICE_LABEL = "org.labkit.service"
ROLE_LABEL = "org.labkit.role"
CACHE_LABEL = "org.labkit.cache"
FILE_NAME = "docker-compose.dind.yml"
SWARM_OVERLAYS = ipaddress.IPv4Network("10.0.0.0/8")

LAB_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
LAB_NAME_RULE = "lower-case letters, digits, '-' and '_'"

_Parsed = dict[str, Any]


@dataclass(frozen=True)
class Service:
    """One container of the lab. `memory` in bytes, `build` a folder or None.

    `ready` is the health check's command: it returns once the service answers. The check's interval is read
    and checked, but not kept: it is for `docker compose up --wait`.
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
    memory: int
    pids_limit: int
    log_driver: str
    ready: tuple[str, ...]

    @property
    def is_node(self) -> bool:
        return NODE_LABEL in self.labels

    @property
    def role(self) -> str:
        """The role that `labkit up --swarm` gives the node: `manager` or `worker`."""
        return self.labels.get(ROLE_LABEL, "worker")


@dataclass(frozen=True)
class Topology:
    """What the file says about one lab. The names of volumes and network are the engine's: `LAB_NAME`.

    A volume with a name of its own and the label `org.labkit.cache` belongs to all labs.
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
    except (OSError, UnicodeDecodeError) as error:
        raise TopologyInvalid(
            f"cannot read {path}",
            evidence=[str(error)],
            next_step="check the file, or what LABKIT_TOPOLOGY names",
        ) from None
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
    """Reads the whole document, however broken, and builds a Topology only when there was no problem."""

    def __init__(self, env: Mapping[str, str], folder: Path) -> None:
        super().__init__(env)
        self.folder = folder

    def topology(self, document: Any) -> Topology | None:
        top = self.section(
            "", self.interpolated(document), composefile.TOP, required=("name", "services", "networks")
        )
        lab = top.get("name", DEFAULT_LAB)
        if not LAB_NAME.fullmatch(lab):
            self.problem("name", f"'{lab}' is no lab name: {LAB_NAME_RULE}")
        networks = {
            name: self.section(f"networks.{name}", body, composefile.NETWORK, required=("labels", "ipam"))
            for name, body in top.get("networks", {}).items()
        }
        if "networks" in top and len(networks) != 1:
            self.problem("networks", f"one network expected, found {len(networks)}")
        volumes = {name: self.volume(lab, name, body) for name, body in top.get("volumes", {}).items()}
        services = {
            name: self.service(name, body, networks, volumes)
            for name, body in top.get("services", {}).items()
        }
        labelled = {f"networks.{name}": body for name, body in networks.items()}
        labelled |= {f"volumes.{name}": body for name, body in volumes.items() if "name" not in body}
        labelled |= {f"services.{name}": body for name, body in services.items()}
        self.check_labels(lab, labelled)
        if "services" in top:
            self.check_roles(services)
        subnets = [self.subnet(f"networks.{name}.ipam", body.get("ipam")) for name, body in networks.items()]
        self.check_addresses(services, subnets[0] if subnets else None)
        if self.problems or subnets[0] is None:
            return None
        network, settings = next(iter(networks.items()))
        return Topology(
            lab=lab,
            services=tuple(self.built(name, body, volumes) for name, body in services.items()),
            network=f"{lab}_{network}",
            subnet=subnets[0],
            network_labels=settings["labels"],
            volumes={body["engine_name"]: body["labels"] for body in volumes.values()},
        )

    def volume(self, lab: str, name: str, body: Any) -> _Parsed:
        """Read a volume's section, which adds its `engine_name`."""
        place = f"volumes.{name}"
        got = self.section(place, body, composefile.VOLUME, required=("labels",))
        if "name" in got and CACHE_LABEL not in got.get("labels", {}):
            self.problem(f"{place}.labels", f"needs {CACHE_LABEL}: a volume with a name belongs to all labs")
        return {**got, "engine_name": got.get("name", f"{lab}_{name}")}

    def service(self, name: str, body: Any, networks: Collection[str], volumes: Collection[str]) -> _Parsed:
        """Read a service's section and the sections in it, which add `address` and `log_driver`."""
        place = f"services.{name}"
        got = self.section(place, body, composefile.SERVICE, required=composefile.REQUIRED)
        if "healthcheck" in got:
            check = self.section(
                f"{place}.healthcheck", got["healthcheck"], composefile.HEALTH, required=composefile.HEALTH
            )
            got["ready"] = check.get("test")
        if "logging" in got:
            driver = self.section(
                f"{place}.logging", got["logging"], composefile.LOGGING, required=composefile.LOGGING
            )
            got["log_driver"] = driver.get("driver")
        if "networks" in got and len(networks) == 1:
            [network] = networks
            if got["networks"].keys() != {network}:
                self.problem(f"{place}.networks", f"expected '{network}' alone")
            else:
                joined = f"{place}.networks.{network}"
                address = self.section(
                    joined, got["networks"][network], composefile.JOINED, required=composefile.JOINED
                )
                got["address"] = address.get("ipv4_address")
        for source, _, _ in got.get("volumes", ()):
            if not source.startswith("/") and source not in volumes:
                self.problem(f"{place}.volumes", f"'{source}' is not declared under volumes")
        return got

    def built(self, name: str, got: _Parsed, volumes: Mapping[str, _Parsed]) -> Service:
        """The Service of a section without problems."""
        return Service(
            name=name,
            image=got["image"],
            build=self.folder / got["build"] if "build" in got else None,
            command=got.get("command", ()),
            environment=got.get("environment", {}),
            container_name=got["container_name"],
            hostname=got["hostname"],
            labels=got["labels"],
            address=got["address"],
            dns=got.get("dns", ()),
            volumes=tuple(
                (source if source.startswith("/") else volumes[source]["engine_name"], target, mode)
                for source, target, mode in got.get("volumes", ())
            ),
            cap_add=got.get("cap_add", ()),
            cap_drop=got.get("cap_drop", ()),
            security_opt=got.get("security_opt", ()),
            cgroup=got.get("cgroup"),
            device_cgroup_rules=got.get("device_cgroup_rules", ()),
            tmpfs=got.get("tmpfs", ()),
            memory=got["mem_limit"],
            pids_limit=got["pids_limit"],
            log_driver=got["log_driver"],
            ready=got["ready"],
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

    def check_labels(self, lab: str, sections: Mapping[str, _Parsed]) -> None:
        """Everything of a lab must be found again by its label."""
        for place, body in sections.items():
            if "labels" in body and body["labels"].get(LAB_LABEL) != lab:
                self.problem(f"{place}.labels", f"needs {LAB_LABEL}: {lab}")

    def check_roles(self, services: Mapping[str, _Parsed]) -> None:
        roles = []
        for name, body in services.items():
            labels = body.get("labels", {})
            if NODE_LABEL in labels and labels[NODE_LABEL] != name:
                self.problem(f"services.{name}.labels", f"{NODE_LABEL} must be the service's name")
            roles.append(labels.get(ROLE_LABEL, "worker") if NODE_LABEL in labels else None)
            if roles[-1] not in ("manager", "worker", None):
                self.problem(f"services.{name}.labels", f"{ROLE_LABEL} must be manager or worker")
        if "manager" not in roles and all("labels" in body for body in services.values()):
            self.problem("services", f"no node with {ROLE_LABEL}: manager")

    def check_addresses(self, services: Mapping[str, _Parsed], subnet: ipaddress.IPv4Network | None) -> None:
        taken: dict[str, str] = {}
        for name, body in services.items():
            address = body.get("address")
            if address is None:
                continue
            if subnet and ipaddress.IPv4Address(address) not in subnet:
                self.problem(f"services.{name}", f"address {address} is not in {subnet}")
            if address in taken:
                self.problem(f"services.{name}", f"address {address} belongs to {taken[address]} already")
            taken[address] = name
