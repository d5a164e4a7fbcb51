"""The topology file: what it says, and what is said about mistakes in it, all of them at once."""

import ipaddress
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from labkit import composefile, topology
from labkit.errors import TopologyInvalid
from labkit.topology import FILE_NAME, Service, Topology

REAL = Path(__file__).parents[2] / FILE_NAME
MISSING = object()
NO_ENV: Mapping[str, str] = {}


def real_document() -> dict[str, Any]:
    """The real file's keys and values; through JSON, because YAML's merges share their values."""
    document: dict[str, Any] = json.loads(json.dumps(yaml.safe_load(REAL.read_text())))
    return document


def changed(folder: Path, changes: Mapping[str, Any]) -> Path:
    """The real file, with other values at places such as `services/worker1/hostname`; MISSING removes one."""
    document = real_document()
    for place, value in changes.items():
        *parents, key = place.split("/")
        inner = document
        for parent in parents:
            inner = inner[parent]
        if value is MISSING:
            del inner[key]
        else:
            inner[key] = value
    return written(folder, yaml.safe_dump(document))


def written(folder: Path, text: str) -> Path:
    path = folder / "lab.yml"
    path.write_text(text)
    return path


def refusal(path: Path, env: Mapping[str, str] = NO_ENV) -> TopologyInvalid:
    with pytest.raises(TopologyInvalid) as caught:
        topology.load(path, env)
    return caught.value


def real(env: Mapping[str, str] = NO_ENV) -> Topology:
    return topology.load(REAL, env)


def service(name: str, env: Mapping[str, str] = NO_ENV) -> Service:
    return next(service for service in real(env).services if service.name == name)


# -- the real file --------------------------------------------------------------------------------------


def test_the_real_file_has_a_manager_and_two_workers() -> None:
    assert [(node.name, node.role, node.address) for node in real().nodes] == [
        ("manager1", "manager", "172.30.77.11"),
        ("worker1", "worker", "172.30.77.21"),
        ("worker2", "worker", "172.30.77.22"),
    ]


def test_a_node_is_read_with_every_setting() -> None:
    worker = real({"LABKIT_NET": "192.168.7"}).nodes[1]
    assert (worker.image, worker.build) == ("labkit/node", REAL.parent / "labkit/images/node")
    assert (worker.container_name, worker.hostname) == ("swarm-lab-worker1", "worker1")
    assert worker.labels == {
        "org.labkit.lab": "swarm-lab",
        "org.labkit.node": "worker1",
        "org.labkit.role": "worker",
    }
    assert worker.volumes == (
        ("swarm-lab_worker1", "/var/lib/docker", "rw"),
        ("swarm-lab_shared", "/lab", "rw"),
        ("swarm-lab_trust", "/etc/docker/certs.d", "ro"),
    )
    assert worker.command == (
        "--registry-mirror=https://registry:5001",
        "--registry-mirror=https://registry:5002",
        "--dns=192.168.7.5",
    )
    assert worker.dns == ("192.168.7.5",)
    assert (worker.environment, worker.ready) == ({}, ("node-ready",))
    assert (worker.cap_add, worker.cap_drop) == (("SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE"), ())
    assert worker.security_opt == ("seccomp=unconfined", "apparmor=unconfined", "label=disable")
    assert (worker.cgroup, worker.tmpfs) == ("private", ("/run",))
    assert worker.device_cgroup_rules == ("c 10:229 rwm",)
    assert (worker.memory, worker.pids_limit, worker.log_driver) == (2 * 1024**3, 4096, "local")


def test_a_service_is_read_with_every_setting() -> None:
    registry = service("registry", {"LABKIT_HUB": "https://hub.example"})
    assert (registry.image, registry.build) == ("labkit/bank", REAL.parent / "labkit/images/registry")
    assert registry.labels == {"org.labkit.lab": "swarm-lab", "org.labkit.service": "registry"}
    assert (registry.address, registry.command) == ("172.30.77.5", ())
    assert registry.environment == {"HUB": "https://hub.example"}
    assert registry.volumes == (
        ("swarm-lab_pushed", "/srv/pushed", "rw"),
        ("labkit-cache", "/srv/cache", "rw"),
        ("swarm-lab_trust", "/etc/docker/certs.d", "rw"),
    )
    assert (registry.cap_add, registry.cap_drop) == (("NET_BIND_SERVICE",), ("ALL",))
    assert registry.security_opt == ("no-new-privileges:true",)
    assert (registry.memory, registry.pids_limit) == (512 * 1024**2, 512)
    assert registry.ready == ("registry-ready",)


def test_the_real_network_and_volumes_carry_the_labs_label() -> None:
    lab = real()
    label = {"org.labkit.lab": "swarm-lab"}
    assert (lab.lab, lab.network, lab.network_labels) == ("swarm-lab", "swarm-lab_lab", label)
    assert lab.subnet == ipaddress.IPv4Network("172.30.77.0/24")
    own = ("manager1", "worker1", "worker2", "shared", "trust", "pushed", "storage")
    assert lab.volumes == {
        **{f"swarm-lab_{name}": label for name in own},
        "labkit-cache": {"org.labkit.cache": "docker-hub"},
    }


def test_two_labs_share_no_name_and_no_address() -> None:
    first, second = real(), real({"LABKIT_LAB": "class-7", "LABKIT_NET": "192.168.7"})
    assert (second.lab, second.network) == ("class-7", "class-7_lab")
    assert str(second.subnet) == "192.168.7.0/24"
    assert [node.address for node in second.nodes] == ["192.168.7.11", "192.168.7.21", "192.168.7.22"]
    assert {node.labels["org.labkit.lab"] for node in second.nodes} == {"class-7"}
    containers = [{service.container_name for service in lab.services} for lab in (first, second)]
    assert not containers[0] & containers[1]
    assert first.volumes.keys() & second.volumes.keys() == {"labkit-cache"}  # what came from Docker Hub


def test_a_lab_may_have_a_cache_of_its_own() -> None:
    lab = real({"LABKIT_CACHE": "quiet"})
    assert lab.volumes["quiet"] == {"org.labkit.cache": "docker-hub"}
    assert "labkit-cache" not in lab.volumes


def test_an_empty_variable_means_its_default_as_in_compose() -> None:
    assert real({"LABKIT_LAB": ""}).lab == "swarm-lab"


def test_the_file_is_the_one_that_the_variable_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LABKIT_TOPOLOGY", raising=False)
    assert topology.default_path() == REAL
    monkeypatch.setenv("LABKIT_TOPOLOGY", str(changed(tmp_path, {"networks/lab/ipam/driver": "x"})))
    assert topology.default_path() == tmp_path / "lab.yml"
    with pytest.raises(TopologyInvalid, match=r"lab\.yml"):
        topology.load(env=NO_ENV)


def test_a_service_that_is_no_node_is_kept_apart() -> None:
    lab = real()
    nodes = ["manager1", "worker1", "worker2"]
    assert [service.name for service in lab.services] == [*nodes, "registry", "storage"]
    assert [node.name for node in lab.nodes] == nodes


OPTIONAL: dict[str, object] = {
    "build": None,
    "command": (),
    "environment": {},
    "dns": (),
    "volumes": (),
    "cap_add": (),
    "cap_drop": (),
    "security_opt": (),
    "cgroup": None,
    "device_cgroup_rules": (),
    "tmpfs": (),
}


@pytest.mark.parametrize(("key", "nothing"), OPTIONAL.items(), ids=OPTIONAL)
def test_what_a_service_may_leave_out_is_then_nothing(tmp_path: Path, key: str, nothing: object) -> None:
    # Of the two services' keys, each is on one of them at least.
    name = "registry" if key in real_document()["services"]["registry"] else "worker1"
    assert getattr(service(name), key) != nothing
    without = topology.load(changed(tmp_path, {f"services/{name}/{key}": MISSING}), NO_ENV)
    assert getattr(next(each for each in without.services if each.name == name), key) == nothing


REQUIRED = ("image", "container_name", "hostname", "labels", "networks", "mem_limit", "pids_limit", "logging")


@pytest.mark.parametrize("key", [*REQUIRED, "healthcheck"])
def test_what_a_service_must_say_is_missed(tmp_path: Path, key: str) -> None:
    error = refusal(changed(tmp_path, {f"services/registry/{key}": MISSING}))
    assert error.evidence == (f"services.registry.{key}: missing",)


# -- mistakes -------------------------------------------------------------------------------------------

MISTAKES = {
    "a typo": (
        {"services/worker1/hostnam": "x"},
        "services.worker1.hostnam: unknown key; did you mean 'hostname'?",
    ),
    "a key like no other": ({"services/worker1/zzz": 1}, "services.worker1.zzz: unknown key"),
    "a typo at the top": ({"volume": {}}, "volume: unknown key; did you mean 'volumes'?"),
    "a typo in a network": (
        {"networks/lab/lables": {}},
        "networks.lab.lables: unknown key; did you mean 'labels'?",
    ),
    "an unknown option of an address": (
        {"services/worker1/networks/lab/aliases": ["w"]},
        "services.worker1.networks.lab.aliases: unknown key",
    ),
    "an unknown option of a health check": (
        {"services/worker1/healthcheck/retry": 3},
        "services.worker1.healthcheck.retry: unknown key; did you mean 'retries'?",
    ),
    "a log option": (
        {"services/worker1/logging/options": {}},
        "services.worker1.logging.options: unknown key",
    ),
    "a missing key": ({"services/worker1/hostname": MISSING}, "services.worker1.hostname: missing"),
    "a missing name": ({"name": MISSING}, "name: missing"),
    "missing services": ({"services": MISSING}, "services: missing"),
    "missing networks": ({"networks": MISSING}, "networks: missing"),
    "an empty section": ({"services": None}, "services: expected keys and values, found None"),
    "a service without a body": ({"services/worker1": None}, "services.worker1: expected keys and values"),
    "an address without its key": (
        {"services/worker1/networks/lab": None},
        "services.worker1.networks.lab: expected keys and values",
    ),
    "a wrong kind of value": (
        {"services/worker1/cap_add": "SYS_ADMIN"},
        "services.worker1.cap_add: expected a list, found 'SYS_ADMIN'",
    ),
    "no text": ({"services/worker1/image": 5}, "services.worker1.image: expected text, found 5"),
    "a label without its value": (
        {"services/worker1/labels/x": None},
        "services.worker1.labels: expected text, found None",
    ),
    "a wrong lab label on a service": (
        {"services/worker1/labels/org.labkit.lab": "other"},
        "services.worker1.labels: needs org.labkit.lab: swarm-lab",
    ),
    "a wrong lab label on a volume": (
        {"volumes/worker1/labels/org.labkit.lab": "other"},
        "volumes.worker1.labels: needs org.labkit.lab: swarm-lab",
    ),
    "a wrong node label": (
        {"services/worker1/labels/org.labkit.node": "worker2"},
        "services.worker1.labels: org.labkit.node must be the service's name",
    ),
    "a wrong role": (
        {"services/worker1/labels/org.labkit.role": "boss"},
        "services.worker1.labels: org.labkit.role must be manager or worker",
    ),
    "no manager": (
        {"services/manager1/labels/org.labkit.role": "worker"},
        "services: no node with org.labkit.role: manager",
    ),
    "the same address twice": (
        {"services/worker2/networks/lab/ipv4_address": "172.30.77.21"},
        "services.worker2: address 172.30.77.21 belongs to worker1 already",
    ),
    "an address outside of the subnet": (
        {"services/worker2/networks/lab/ipv4_address": "172.30.78.22"},
        "services.worker2: address 172.30.78.22 is not in 172.30.77.0/24",
    ),
    "no address": (
        {"services/worker2/networks/lab/ipv4_address": "worker2"},
        "services.worker2.networks.lab.ipv4_address: Expected 4 octets in 'worker2'",
    ),
    "another network": (
        {"services/worker2/networks": {"other": {}}},
        "services.worker2.networks: expected 'lab' alone",
    ),
    "one network more": (
        {"services/worker2/networks/other": {"ipv4_address": "172.30.99.22"}},
        "services.worker2.networks: expected 'lab' alone",
    ),
    "a second network": (
        {
            "networks/second": {
                "labels": {"org.labkit.lab": "swarm-lab"},
                "ipam": {"config": [{"subnet": "172.30.99.0/24"}]},
            }
        },
        "networks: one network expected, found 2",
    ),
    "no subnet": (
        {"networks/lab/ipam/config": []},
        "networks.lab.ipam: expected config with one subnet and nothing else",
    ),
    "an option beside the subnet": (
        {"networks/lab/ipam/driver": "default"},
        "networks.lab.ipam: expected config with one subnet and nothing else",
    ),
    "an undeclared volume": (
        {"volumes/worker2": MISSING},
        "services.worker2.volumes: 'worker2' is not declared under volumes",
    ),
    "a volume with a name that says not that it is shared": (
        {"volumes/worker2/name": "mine"},
        "volumes.worker2.labels: needs org.labkit.cache: a volume with a name belongs to all labs",
    ),
    "a volume without labels": ({"volumes/worker2/labels": MISSING}, "volumes.worker2.labels: missing"),
    "a health check by a shell": (
        {"services/worker1/healthcheck/test": ["CMD-SHELL", "node-ready"]},
        "services.worker1.healthcheck.test: expected [CMD, a command …], found ['CMD-SHELL', 'node-ready']",
    ),
    "a health check of no command": (
        {"services/worker1/healthcheck/test": ["CMD"]},
        "services.worker1.healthcheck.test: expected [CMD, a command …], found ['CMD']",
    ),
    "a health check that is text": (
        {"services/worker1/healthcheck/test": "node-ready"},
        "services.worker1.healthcheck.test: expected a list, found 'node-ready'",
    ),
    "a command that is text": (
        {"services/registry/command": "serve"},
        "services.registry.command: expected a list, found 'serve'",
    ),
    "a name server that is a name": (
        {"services/worker1/dns": ["registry"]},
        "services.worker1.dns: Expected 4 octets in 'registry'",
    ),
    "an environment that is a list": (
        {"services/registry/environment": ["HUB=x"]},
        "services.registry.environment: expected keys and values, found ['HUB=x']",
    ),
    "a mount that is none": (
        {"services/worker2/volumes": ["/lab"]},
        "services.worker2.volumes: expected SOURCE:TARGET or SOURCE:TARGET:ro, found '/lab'",
    ),
}


@pytest.mark.parametrize(("changes", "problem"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_with_its_place_and_nothing_else_is(
    tmp_path: Path, changes: Mapping[str, Any], problem: str
) -> None:
    error = refusal(changed(tmp_path, changes))
    assert error.evidence == (problem,)
    assert error.what == "lab.yml has 1 problem"
    assert error.next_step.startswith(f"mend {tmp_path}/lab.yml ")


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    error = refusal(
        changed(
            tmp_path,
            {
                "volume": {},
                "services/worker1/hostnam": "worker1",
                "services/worker1/mem_limit": "lots",
                "services/worker2/pids_limit": 0,
                "networks/lab/driver": "bridge",
                "networks/lab/ipam/config": [{"subnet": "172.30.77.5/24"}],
                "volumes/shared/labels/org.labkit.lab": "other",
                "services/worker1/image": "${IMAGE}",
            },
        )
    )
    assert error.what == "lab.yml has 8 problems"
    assert set(error.evidence) == {
        "volume: unknown key; did you mean 'volumes'?",
        "services.worker1.hostnam: unknown key; did you mean 'hostname'?",
        "services.worker1.mem_limit: expected a size such as 512m or 2g, found 'lots'",
        "services.worker2.pids_limit: expected a whole number of at least 1, found 0",
        "networks.lab.driver: unknown key",
        "networks.lab.ipam: 172.30.77.5/24 has host bits set",
        "volumes.shared.labels: needs org.labkit.lab: swarm-lab",
        "${IMAGE}: only ${NAME:-default} is understood",
    }


@pytest.mark.parametrize("text", ["${NAME}", "$NAME", "${NAME:?needed}", "${NAME-default}", "cost: $$5"])
def test_only_a_variable_with_a_default_is_understood(tmp_path: Path, text: str) -> None:
    error = refusal(changed(tmp_path, {"services/worker1/hostname": text}), {"NAME": "x"})
    assert error.evidence == (f"{text}: only ${{NAME:-default}} is understood",)


@pytest.mark.parametrize("net", ["10.0.0", "10.255.3"])
def test_a_subnet_where_swarm_places_overlays_is_refused(net: str) -> None:
    assert refusal(REAL, {"LABKIT_NET": net}).evidence == (
        f"networks.lab.ipam: {net}.0/24 is inside 10.0.0.0/8, where Swarm places overlay networks",
    )


@pytest.mark.parametrize("name", ["A", "a/b", "a b", "-a", "../a", "ä"])
def test_a_lab_name_that_no_container_can_have_is_refused(name: str) -> None:
    (problem,) = refusal(REAL, {"LABKIT_LAB": name}).evidence
    assert problem == f"name: '{name}' is no lab name: lower-case letters, digits, '-' and '_'"


@pytest.mark.parametrize("text", ["", "[1, 2]", "just text"])
def test_a_file_of_something_else_is_refused(tmp_path: Path, text: str) -> None:
    assert refusal(written(tmp_path, text)).evidence == ("the file: expected keys and values",)


def test_bad_yaml_is_told_with_its_line(tmp_path: Path) -> None:
    error = refusal(written(tmp_path, "name: swarm-lab\nservices: [manager1\n"))
    assert error.what == "lab.yml is not valid YAML"
    assert any("line 3" in line for line in error.evidence)
    assert error.next_step == f"mend {tmp_path}/lab.yml"


def test_a_file_that_cannot_be_read_is_told_with_the_systems_reason(tmp_path: Path) -> None:
    error = refusal(tmp_path / "gone.yml")
    assert error.what == f"cannot read {tmp_path}/gone.yml"
    assert "No such file or directory" in error.evidence[0]
    assert "Is a directory" in refusal(tmp_path).evidence[0]


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lab.yml").write_bytes(b"name: caf\xe9\n")
    assert refusal(tmp_path / "lab.yml").evidence


def test_a_typo_in_the_manager_does_not_make_the_lab_lack_one(tmp_path: Path) -> None:
    error = refusal(changed(tmp_path, {"services/manager1/hostnam": "x"}))
    assert error.evidence == ("services.manager1.hostnam: unknown key; did you mean 'hostname'?",)


def test_a_typo_hides_no_mistake_below_the_same_service(tmp_path: Path) -> None:
    changes = {"services/worker1/hostnam": "x", "services/worker1/healthcheck/retry": 3}
    assert len(refusal(changed(tmp_path, changes)).evidence) == 2


def test_a_missing_section_hides_no_mistake_elsewhere(tmp_path: Path) -> None:
    changes = {"networks": MISSING, "services/worker1/hostnam": "x"}
    assert len(refusal(changed(tmp_path, changes)).evidence) == 2


def test_a_lab_without_nodes_is_refused(tmp_path: Path) -> None:
    assert refusal(changed(tmp_path, {"services": {}})).evidence


def test_a_wrong_label_on_the_network_is_told_with_its_place(tmp_path: Path) -> None:
    error = refusal(changed(tmp_path, {"networks/lab/labels/org.labkit.lab": "other"}))
    assert error.evidence == ("networks.lab.labels: needs org.labkit.lab: swarm-lab",)


# -- values ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parse", "value", "expected"),
    [
        (composefile.size, "2g", 2 * 1024**3),
        (composefile.size, "512M", 512 * 1024**2),
        (composefile.size, "64kb", 64 * 1024),
        (composefile.size, "100b", 100),
        (composefile.size, 4096, 4096),
        (composefile.seconds, "20s", 20),
        (composefile.seconds, "1m30s", 90),
        (composefile.seconds, "2m", 120),
        (composefile.count, 1, 1),
        (composefile.mount, "shared:/lab", ("shared", "/lab", "rw")),
        (composefile.mount, "/a:/b:ro", ("/a", "/b", "ro")),
        (composefile.labels, {"a": "b"}, {"a": "b"}),
        (composefile.address, "172.30.77.11", "172.30.77.11"),
    ],
)
def test_values_are_read_as_compose_reads_them(
    parse: Callable[[Any], Any], value: Any, expected: Any
) -> None:
    assert parse(value) == expected


@pytest.mark.parametrize(
    ("parse", "value"),
    [
        (composefile.size, "2 g"),
        (composefile.size, "2t"),
        (composefile.size, True),
        (composefile.size, "-1"),
        (composefile.seconds, ""),
        (composefile.seconds, "20"),
        (composefile.seconds, 20),
        (composefile.count, 0),
        (composefile.count, True),
        (composefile.count, "3"),
        (composefile.mount, "a:b:c:d"),
        (composefile.mount, "a:b:z"),
        (composefile.text, ""),
        (composefile.texts, ["a", 1]),
        (composefile.labels, ["a=b"]),
        (composefile.labels, {"a": 1}),
        (composefile.address, "172.30.77.256"),
    ],
)
def test_values_of_another_form_are_refused(parse: Callable[[Any], Any], value: Any) -> None:
    with pytest.raises(ValueError, match=r"(?i)expected|permitted"):
        parse(value)
