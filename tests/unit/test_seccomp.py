"""The nodes' seccomp profile: how it differs from Docker's own, and how labkit finds it for the engine."""

import json
from pathlib import Path
from typing import Any

import pytest

from labkit.topology import seccomp, topology
from labkit.util.errors import TopologyInvalid

ROOT = Path(__file__).parents[2]
NAME = "labkit/topology/seccomp-node.json"
DEFAULT = ROOT / "tests/data/seccomp/docker-default.json"  # github.com/moby/profiles, seccomp/v0.2.3

Rule = dict[str, Any]


def rules(path: Path) -> list[Rule]:
    """A profile's rules, a system call each, without their comments."""
    return [
        {key: value for key, value in rule.items() if key not in ("names", "comment")} | {"name": name}
        for rule in json.loads(path.read_text())["syscalls"]
        for name in rule["names"]
    ]


def for_capability(capability: str, names: str) -> list[Rule]:
    body = {"action": "SCMP_ACT_ALLOW", "includes": {"caps": [capability]}}
    return [body | {"name": name} for name in names.split()]


def bpf(command: int) -> Rule:
    argument = {"index": 0, "value": command, "op": "SCMP_CMP_EQ"}
    return {"name": "bpf", "action": "SCMP_ACT_ALLOW", "args": [argument]}


def test_the_profile_is_dockers_default_with_these_changes_alone() -> None:
    ours, theirs = rules(ROOT / NAME), rules(DEFAULT)
    assert [rule for rule in ours if rule not in theirs] == [
        {"name": "pivot_root", "action": "SCMP_ACT_ALLOW"},
        {"name": "keyctl", "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
        *(bpf(command) for command in (5, 8, 9, 13, 15, 16)),
    ]
    assert [rule for rule in theirs if rule not in ours] == [
        *for_capability(
            "CAP_SYS_ADMIN",
            "bpf fanotify_init lookup_dcookie lsm_get_self_attr lsm_list_modules lsm_set_self_attr "
            "perf_event_open quotactl quotactl_fd syslog",
        ),
        *for_capability(
            "CAP_SYS_PTRACE", "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace"
        ),
    ]
    others = [
        {key: value for key, value in json.loads(path.read_text()).items() if key != "syscalls"}
        for path in (ROOT / NAME, DEFAULT)
    ]
    assert others[0] == others[1]


def test_a_profile_lies_beside_the_topology_file_or_comes_with_labkit(tmp_path: Path) -> None:
    assert seccomp.with_path(f"seccomp={NAME}", ROOT) == f"seccomp={ROOT / NAME}"
    assert seccomp.with_path(f"seccomp:{NAME}", tmp_path) == f"seccomp={ROOT / NAME}"
    mine = tmp_path / NAME
    mine.parent.mkdir(parents=True)
    mine.write_text('{"defaultAction": "SCMP_ACT_ALLOW"}')
    for folder, name in ((tmp_path, NAME), (ROOT, str(mine))):
        found = seccomp.with_path(f"seccomp={name}", folder)
        assert found == f"seccomp={mine}"
        assert seccomp.with_profile(found) == 'seccomp={"defaultAction":"SCMP_ACT_ALLOW"}'


@pytest.mark.parametrize(
    "option",
    ["seccomp=unconfined", "seccomp=builtin", "apparmor=x.json", "label=disable", "no-new-privileges"],
)
def test_options_without_a_profile_stay_as_they_are(tmp_path: Path, option: str) -> None:
    assert seccomp.with_path(option, tmp_path) == seccomp.with_profile(option) == option


PROBLEMS = {
    "nowhere.json": "no file 'nowhere.json' in ",
    "": "no file '' in ",
    "a\0b": "no file 'a\0b' in ",
    "x" * 300: "no file 'xxx",
    "text.json": "cannot read the seccomp profile ",
    "list.json": "is not a seccomp profile: it has no defaultAction",
    "empty.json": "is not a seccomp profile: it has no defaultAction",
    "bytes.json": "cannot read the seccomp profile ",
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_what_is_no_profile_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "text.json").write_text("no JSON")
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "empty.json").write_text("{}")
    (tmp_path / "bytes.json").write_bytes(b"\xff")
    with pytest.raises(ValueError) as caught:
        seccomp.with_path(f"seccomp={name}", tmp_path)
    assert PROBLEMS[name] in str(caught.value)


def edited(folder: Path, option: str) -> Path:
    """A copy of the topology file whose nodes have another first `security_opt`."""
    path = folder / "lab.yml"
    text = topology.default_path().read_text()
    path.write_text(text.replace(f"seccomp={NAME}", option, 1))
    assert option in path.read_text()
    return path


def test_nodes_have_the_path_for_commands_and_the_profile_for_the_api(tmp_path: Path) -> None:
    [node, *_] = topology.load(edited(tmp_path, f"seccomp={NAME}"), {}).nodes
    assert node.security_opt == (f"seccomp={ROOT / NAME}", "apparmor=unconfined", "label=disable")
    inline, *others = node.api_security_opt
    assert json.loads(inline.removeprefix("seccomp=")) == json.loads((ROOT / NAME).read_text())
    assert others == ["apparmor=unconfined", "label=disable"]


def test_a_missing_profile_is_told_at_each_place(tmp_path: Path) -> None:
    with pytest.raises(TopologyInvalid) as caught:
        topology.load(edited(tmp_path, "seccomp=nowhere.json"), {})
    assert caught.value.evidence == tuple(
        f"services.{name}.security_opt.0: no file 'nowhere.json' in {tmp_path}"
        for name in ("manager1", "worker1", "worker2")
    )
