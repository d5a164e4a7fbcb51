"""The topology file: what it says, and what is said about mistakes in it, all of them at once."""

import contextlib
import ipaddress
import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from labkit.topology import topology
from labkit.topology.topology import FILE_NAME, LAB_LABEL, Service, Topology
from labkit.util.errors import TopologyInvalid

REAL = Path(__file__).parents[2] / FILE_NAME
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY")
MISSING = object()
NO_ENV: Mapping[str, str] = {}


AS_JSON = json.dumps(yaml.safe_load(REAL.read_text()))


def real_document() -> dict[str, Any]:
    """The real file's keys and values; through JSON, because YAML's merges share their values."""
    document: dict[str, Any] = json.loads(AS_JSON)
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
    assert (worker.image, worker.build) == ("labkit/node:26.1", REAL.parent / "labkit/images/sources/node")
    assert worker.build_args == {"DOCKER": "26.1", "BASE": "debian:trixie-slim"}
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
    assert set(worker.environment) == {*PROXIES, *(name.lower() for name in PROXIES)}
    assert (set(worker.environment.values()), worker.ready) == ({""}, ("node-ready",))
    assert (worker.cap_add, worker.cap_drop) == (("SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE"), ())
    profile = REAL.parent / "labkit/topology/seccomp-node.json"
    assert worker.security_opt == (f"seccomp={profile}", "apparmor=unconfined", "label=disable")
    assert (worker.cgroup, worker.tmpfs) == ("private", ("/run",))
    assert worker.device_cgroup_rules == ("c 10:229 rwm",)
    assert (worker.memory, worker.pids_limit, worker.log_driver) == (2 * 1024**3, 4096, "local")


def test_a_service_is_read_with_every_setting() -> None:
    env = {"LABKIT_HUB": "https://hub.example", "LABKIT_HUB_PROXY": "http://proxy:1", "LABKIT_CA": "PEM"}
    registry = service("registry", env)
    assert (registry.image, registry.build) == ("labkit/bank", REAL.parent / "labkit/images/sources/registry")
    assert registry.labels == {"org.labkit.lab": "swarm-lab", "org.labkit.service": "registry"}
    assert (registry.address, registry.command) == ("172.30.77.5", ())
    way = {"HUB": "https://hub.example", "HUB_PROXY": "http://proxy:1", "HUB_CA": "PEM"}
    assert registry.environment == {**way, "NO_PROXY": "*", "no_proxy": "*"}
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
    "ulimits": {},
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
    "another engine for Compose": (
        {"services/worker1/build/args/DOCKER": "20.10"},
        "services.worker1.build.args.DOCKER: must be 26.1, as in image: labkit/node:26.1",
    ),
    "an unknown option of a build": (
        {"services/worker1/build/target": "installed"},
        "services.worker1.build.target: unknown key; did you mean 'args'?",
    ),
    "a limit that does not exist": (
        {"services/worker1/ulimits/nofiles": {"soft": 1, "hard": 1}},
        "services.worker1.ulimits.nofiles: unknown key; did you mean 'nofile'?",
    ),
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
    "a service without a body": (
        {"services/worker1": None},
        "services.worker1: expected keys and values, found None",
    ),
    "an address without its key": (
        {"services/worker1/networks/lab": None},
        "services.worker1.networks.lab: expected keys and values, found None",
    ),
    "a wrong kind of value": (
        {"services/worker1/cap_add": "SYS_ADMIN"},
        "services.worker1.cap_add: expected a list, found 'SYS_ADMIN'",
    ),
    "no text": ({"services/worker1/image": 5}, "services.worker1.image: expected text, found 5"),
    "a label without its value": (
        {"services/worker1/labels/x": None},
        "services.worker1.labels.x: expected text, found None",
    ),
    "a wrong lab label on a service": (
        {"services/worker1/labels/org.labkit.lab": "other"},
        "services.worker1.labels.org.labkit.lab: must be swarm-lab",
    ),
    "a wrong lab label on a volume": (
        {"volumes/worker1/labels/org.labkit.lab": "other"},
        "volumes.worker1.labels.org.labkit.lab: must be swarm-lab",
    ),
    "a wrong node label": (
        {"services/worker1/labels/org.labkit.node": "worker2"},
        "services.worker1.labels.org.labkit.node: must be the service's name, worker1",
    ),
    "a wrong role": (
        {"services/worker1/labels/org.labkit.role": "boss"},
        "services.worker1.labels.org.labkit.role: must be manager or worker",
    ),
    "no manager": (
        {"services/manager1/labels/org.labkit.role": "worker"},
        "services: no node with org.labkit.role: manager",
    ),
    "the same address twice": (
        {"services/worker2/networks/lab/ipv4_address": "172.30.77.21"},
        "services.worker2.networks.lab.ipv4_address: 172.30.77.21 already belongs to worker1",
    ),
    "an address outside of the subnet": (
        {"services/worker2/networks/lab/ipv4_address": "172.30.78.22"},
        "services.worker2.networks.lab.ipv4_address: 172.30.78.22 is not in 172.30.77.0/24",
    ),
    "no address": (
        {"services/worker2/networks/lab/ipv4_address": "worker2"},
        "services.worker2.networks.lab.ipv4_address: Expected 4 octets in 'worker2'",
    ),
    "another network": (
        {"services/worker2/networks": {"other": {"ipv4_address": "172.30.77.22"}}},
        "services.worker2.networks: expected only 'lab'",
    ),
    "one network more": (
        {"services/worker2/networks/other": {"ipv4_address": "172.30.99.22"}},
        "services.worker2.networks: expected only 'lab'",
    ),
    "a second network": (
        {
            "networks/second": {
                "labels": {"org.labkit.lab": "swarm-lab"},
                "ipam": {"config": [{"subnet": "172.30.99.0/24"}]},
            }
        },
        "networks: expected one network, found 2",
    ),
    "no subnet": (
        {"networks/lab/ipam/config": []},
        "networks.lab.ipam.config: expected one subnet, found []",
    ),
    "an option beside the subnet": (
        {"networks/lab/ipam/driver": "default"},
        "networks.lab.ipam.driver: unknown key",
    ),
    "an undeclared volume": (
        {"volumes/worker2": MISSING},
        "services.worker2.volumes.0: 'worker2' is not declared under volumes",
    ),
    "a volume with a name that says not that it is shared": (
        {"volumes/worker2/name": "mine"},
        "volumes.worker2.labels: needs org.labkit.cache: a volume with its own name is shared by all labs",
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
        "services.worker1.dns.0: Expected 4 octets in 'registry'",
    ),
    "an environment that is a list": (
        {"services/registry/environment": ["HUB=x"]},
        "services.registry.environment: expected keys and values, found ['HUB=x']",
    ),
    "a mount that is none": (
        {"services/worker2/volumes": ["/lab"]},
        "services.worker2.volumes.0: expected SOURCE:TARGET or SOURCE:TARGET:ro, found '/lab'",
    ),
}


@pytest.mark.parametrize(("changes", "problem"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_with_its_place_and_nothing_else_is(
    tmp_path: Path, changes: Mapping[str, Any], problem: str
) -> None:
    error = refusal(changed(tmp_path, changes))
    assert error.evidence == (problem,)
    assert error.what == "lab.yml has 1 problem"
    assert error.next_step.startswith(f"fix {tmp_path}/lab.yml ")


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
        "networks.lab.ipam.config.0.subnet: 172.30.77.5/24 has host bits set",
        "volumes.shared.labels.org.labkit.lab: must be swarm-lab",
        "services.worker1.image: only ${NAME:-default} is supported, found '${IMAGE}'",
    }


@pytest.mark.parametrize(
    "text", ["${NAME}", "${NAME:-$OTHER}", "$NAME", "${NAME:?needed}", "${NAME-default}", "cost: $$5"]
)
def test_only_a_variable_with_a_default_is_understood(tmp_path: Path, text: str) -> None:
    error = refusal(changed(tmp_path, {"services/worker1/hostname": text}), {"NAME": "x"})
    assert error.evidence == (
        f"services.worker1.hostname: only ${{NAME:-default}} is supported, found {text!r}",
    )


@pytest.mark.parametrize("net", ["10.0.0", "10.255.3"])
def test_a_subnet_where_swarm_places_overlays_is_refused(net: str) -> None:
    assert refusal(REAL, {"LABKIT_NET": net}).evidence == (
        f"networks.lab.ipam.config.0.subnet: {net}.0/24 overlaps 10.0.0.0/8, "
        "where Swarm places overlay networks",
    )


@pytest.mark.parametrize("name", ["A", "a/b", "a b", "-a", "../a", "ä"])
def test_a_lab_name_that_no_container_can_have_is_refused(name: str) -> None:
    (problem,) = refusal(REAL, {"LABKIT_LAB": name}).evidence
    assert problem == f"name: invalid lab name '{name}'; use lower-case letters, digits, '-' and '_'"


@pytest.mark.parametrize(
    ("text", "found"), [("", "None"), ("[1, 2]", "[1, 2]"), ("just text", "'just text'")]
)
def test_a_file_of_something_else_is_refused(tmp_path: Path, text: str, found: str) -> None:
    error = refusal(written(tmp_path, text))
    assert error.evidence == (f"the file: expected keys and values, found {found}",)


def test_bad_yaml_is_told_with_its_line(tmp_path: Path) -> None:
    error = refusal(written(tmp_path, "name: swarm-lab\nservices: [manager1\n"))
    assert error.what == "lab.yml is not valid YAML"
    assert any("line 3" in line for line in error.evidence)
    assert error.next_step == f"fix {tmp_path}/lab.yml"


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
    assert error.evidence == ("networks.lab.labels.org.labkit.lab: must be swarm-lab",)


# -- values ---------------------------------------------------------------------------------------------


VALUES: dict[str, list[tuple[Any, Any]]] = {
    "mem_limit": [
        ("2g", 2 * 1024**3),
        ("512M", 512 * 1024**2),
        ("64kb", 64 * 1024),
        ("100b", 100),
        (4096, 4096),
    ],
    "pids_limit": [(1, 1)],
    "volumes": [
        (["shared:/lab"], (("swarm-lab_shared", "/lab", "rw"),)),
        (["/a:/b:ro"], (("/a", "/b", "ro"),)),
        (["/a:/b:rw"], (("/a", "/b", "rw"),)),
        ([], ()),
    ],
    "environment": [({"a": "b"}, {"a": "b"}), ({"a": ""}, {"a": ""}), ({"a": "${B:-}"}, {"a": ""})],
    "dns": [(["172.30.77.11"], ("172.30.77.11",))],
    "ulimits": [
        ({"nofile": {"soft": 1024, "hard": "524288"}}, {"nofile": (1024, 524288)}),
        (
            {"nofile": {"soft": "${A:-7}", "hard": 7}, "core": {"soft": 1, "hard": 2}},
            {"nofile": (7, 7), "core": (1, 2)},
        ),
        ({}, {}),
    ],
}


@pytest.mark.parametrize(
    ("key", "value", "expected"), [(key, *case) for key, cases in VALUES.items() for case in cases]
)
def test_values_are_read_as_compose_reads_them(tmp_path: Path, key: str, value: Any, expected: Any) -> None:
    lab = topology.load(changed(tmp_path, {f"services/worker1/{key}": value}), NO_ENV)
    assert getattr(lab.nodes[1], {"mem_limit": "memory"}.get(key, key)) == expected


@pytest.mark.parametrize("duration", ["20s", "1m30s", "2m"])
def test_durations_are_read_as_compose_reads_them(tmp_path: Path, duration: str) -> None:
    assert topology.load(changed(tmp_path, {"services/worker1/healthcheck/interval": duration}), NO_ENV)


OF_ANOTHER_FORM = [
    ("mem_limit", "2 g"),
    ("mem_limit", "2t"),
    ("mem_limit", True),
    ("mem_limit", "-1"),
    ("healthcheck/interval", ""),
    ("healthcheck/interval", "20"),
    ("healthcheck/interval", 20),
    ("healthcheck/interval", "20s\n"),
    ("pids_limit", 0),
    ("pids_limit", True),
    ("pids_limit", "3"),
    ("volumes", ["a:b:c:d"]),
    ("volumes", ["shared:b:z"]),
    ("hostname", ""),
    ("tmpfs", ["a", 1]),
    ("tmpfs", {"a"}),
    ("ulimits/nofile", 1024),
    ("ulimits/nofile", {"soft": 2, "hard": 1}),
    ("ulimits/nofile/soft", "many"),
    ("ulimits/nofile/hard", 0),
    ("environment", ["a=b"]),
    ("environment", {"a": 1}),
    ("environment", {1: "a"}),
    ("hostname", b"a"),
    ("dns", ["172.30.77.256"]),
]


@pytest.mark.parametrize(("key", "value"), OF_ANOTHER_FORM)
def test_values_of_another_form_are_refused(tmp_path: Path, key: str, value: Any) -> None:
    (problem,) = refusal(changed(tmp_path, {f"services/worker1/{key}": value})).evidence
    assert problem.startswith(f"services.worker1.{key.replace('/', '.')}")
    assert re.search("(?i)expected|permitted", problem)


# -- properties -----------------------------------------------------------------------------------------

Place = tuple[str | int, ...]
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.dates()
KEYS = (
    st.sampled_from(["name", "services", "networks", "volumes", "x-y", "labels", "lab", "ipam"]) | st.text()
)
VALUES_OF_YAML = st.recursive(
    LEAVES | st.sampled_from(["${A:-b}", "$A", "172.30.77.0/24", "shared:/lab", "1m"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.integers(), inner, max_size=4),
    max_leaves=12,
)


def places(value: Any, parents: Place = ()) -> Iterator[Place]:
    """Every place in a document, from the outside in."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield (*parents, key)
        yield from places(each, (*parents, key))


UNREAD = [key for key in real_document() if key.startswith("x-")]
LIKE_ANOTHER = [("services", "worker2"), ("services", "storage")]
PLACES = [
    place for place in places(real_document()) if place[0] not in UNREAD and place[:2] not in LIKE_ANOTHER
]


def parent_in(document: Any, place: Place) -> Any:
    for key in place[:-1]:
        document = document[key]
    return document


def outcome(document: Any) -> Topology | tuple[str, ...]:
    """The Topology of a document, or its problems; any other exception fails the test."""
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder), yaml.safe_dump(document, allow_unicode=True))
        try:
            return topology.load(path, NO_ENV)
        except TopologyInvalid as error:
            assert error.evidence
            return error.evidence


@given(VALUES_OF_YAML)
def test_any_document_gives_a_topology_or_is_refused(document: Any) -> None:
    outcome(document)


@given(st.data(), st.lists(st.sampled_from(PLACES), min_size=1, max_size=6))
def test_the_real_file_with_anything_anywhere_gives_a_topology_or_is_refused(
    data: st.DataObject, where: list[Place]
) -> None:
    document = real_document()
    for place in where:
        with contextlib.suppress(LookupError, TypeError):  # an earlier change took the place away
            parent_in(document, place)[place[-1]] = data.draw(VALUES_OF_YAML)
    outcome(document)


@given(st.text() | st.text("[]{}&*!:-<>|'\"\\ud8\nab10,?%@#"))
def test_any_text_gives_a_topology_or_is_refused(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "lab.yml")
        path.write_bytes(text.encode(errors="surrogatepass"))
        assert refusal(path).evidence


@pytest.mark.parametrize(
    "text",
    [
        "2026-13-45",
        "!!bool perhaps",
        "!!timestamp soon",
        "!!int ''",
        '"\\ud800": 1',
        "services: {'': {}}",
        "services: &a {worker1: *a}",
        "volumes: {shared: &a [*a]}",
        f"name: {'[' * 1000}",
        f"name: {'9' * 5000}",
    ],
)
def test_what_a_yaml_reader_stumbles_over_is_refused(tmp_path: Path, text: str) -> None:
    assert refusal(written(tmp_path, text)).evidence


def test_text_that_cannot_be_encoded_is_refused_with_its_place(tmp_path: Path) -> None:
    path = written(tmp_path, REAL.read_text().replace("hostname: worker1", 'hostname: "\\ud800"'))
    assert refusal(path).evidence == ("services.worker1.hostname: expected text, found '\\ud800'",)
    error = refusal(REAL, {"LABKIT_HUB": "caf\udce9"})  # bytes of another encoding in the environment
    assert error.evidence == ("services.registry.environment.HUB: expected text, found 'caf\\udce9'",)


FREE_KEYS = ("services", "networks", "volumes", "labels", "environment")
KEY_PLACES = [place for place in PLACES if isinstance(place[-1], str)]
SECTION_KEYS = [place for place in KEY_PLACES if not {*place[-2:-1]} & {*FREE_KEYS}]


def told(problems: Topology | tuple[str, ...]) -> dict[str, str]:
    """Problems by their place."""
    assert not isinstance(problems, Topology)
    return dict(problem.split(": ", 1) for problem in problems)


def around(place: Place) -> str:
    return ".".join(map(str, place))


def test_every_key_that_is_left_out_is_missed_at_its_place_or_where_it_was_used() -> None:
    for place in KEY_PLACES:
        document = real_document()
        del parent_in(document, place)[place[-1]]
        problems = outcome(document)
        match place:
            case ("services", "manager1") | ("services", "manager1", "labels", _) if place[-1] != LAB_LABEL:
                assert told(problems) == {"services": "no node with org.labkit.role: manager"}
            case ("services", _) | ("services", _, "labels", _) if place[-1] != LAB_LABEL:
                assert isinstance(problems, Topology)
            case ("services", _, "build", "context") | ("services", _, "build", "args", _):
                assert told(problems) == {around(place): "missing"}
            case ("services", _, "ulimits", _, _):
                assert told(problems) == {around(place): "missing"}
            case ("services", _, key, *_) if key in OPTIONAL:
                assert isinstance(problems, Topology)
            case ("volumes", *name) if len(name) < 2:
                assert all(what.endswith("is not declared under volumes") for what in told(problems).values())
                assert not name or all(f"'{name[0]}'" in what for what in told(problems).values())
            case ("volumes", "cache", "name"):
                assert told(problems) == {"volumes.cache.labels.org.labkit.lab": "must be swarm-lab"}
            case ("volumes", "cache", "labels", _):
                assert "needs org.labkit.cache" in told(problems)["volumes.cache.labels"]
            case (*_, "labels", _):
                assert told(problems) == {around(place): "must be swarm-lab"}
            case ("networks", "lab"):
                assert told(problems) == {"networks": "expected one network, found 0"}
            case ("services", _, "networks", "lab"):
                assert told(problems) == {around(place[:-1]): "expected only 'lab'"}
            case _:
                assert told(problems) == {around(place): "missing"}


@given(st.sampled_from(SECTION_KEYS))
def test_every_key_with_a_typo_is_told_at_its_place_with_what_was_meant(place: Place) -> None:
    document, key = real_document(), str(place[-1])
    section = parent_in(document, place)
    section[key + key[-1]] = section.pop(key)
    problem = told(outcome(document))[around((*place[:-1], key + key[-1]))]
    assert problem == f"unknown key; did you mean '{key}'?"


@given(st.sampled_from(PLACES), st.sampled_from([None, True, -1, 1.5, "", "$NAME", b"x"]))
def test_every_value_of_a_wrong_kind_is_told_at_its_place(place: Place, value: object) -> None:
    assume(value != "" or place[-2:-1] != ("environment",))  # a variable may be empty
    document = real_document()
    parent_in(document, place)[place[-1]] = value
    assert around(place) in told(outcome(document))


@given(st.lists(st.sampled_from(PLACES), min_size=2, max_size=5, unique=True))
def test_no_wrong_value_hides_another(where: list[Place]) -> None:
    document = real_document()
    wrong: list[Place] = []
    for place in where:
        with contextlib.suppress(TypeError):  # it is in one that is wrong already
            parent_in(document, place)[place[-1]] = None
            wrong = [each for each in wrong if each[: len(place)] != place] + [place]
    assert {around(place) for place in wrong} <= told(outcome(document)).keys()
