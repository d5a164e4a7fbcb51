"""What root in a node may not do to the computer, tried: system calls, devices, the kernel's settings.

Perl, which every Debian has, makes the calls by their numbers. Their arguments are no good, so a kernel that
lets a call through refuses it too, but with another error than EPERM. That way nothing happens, and the error
says who refused.
"""

import errno
import platform
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from labkit import Lab
from labkit.topology import topology

pytestmark = pytest.mark.engine

# The numbers on x86_64 and aarch64, then the arguments in Perl: a text is passed by its address.
Calls = Mapping[str, tuple[int, int, str]]

PROFILE_ALONE: Calls = {
    "swapon": (167, 224, '"/nowhere", 0'),
    "swapoff": (168, 225, '"/nowhere"'),
    "quotactl": (179, 60, '0x80000700, "/nowhere", 0, 0'),
    "quotactl_fd": (443, 443, "-1, 0x80000700, 0, 0"),
    "userfaultfd": (323, 282, "0"),
    "perf_event_open": (298, 241, "0, 0, -1, -1, 0"),
    "fanotify_init": (300, 262, "0, 0"),
    "add_key": (248, 217, "0, 0, 0, 0, 0"),
    "request_key": (249, 218, "0, 0, 0, 0"),
    "kcmp": (312, 272, "$$, $$, 0, 0, 0"),
    "pidfd_getfd": (438, 438, "-1, 0, 0"),
    "process_madvise": (440, 440, "-1, 0, 0, 0, 0"),
    "move_pages": (279, 239, "0, 0, 0, 0, 0, 0"),
    "bpf: MAP_CREATE": (321, 280, "0, 0, 0"),
    "bpf: MAP_LOOKUP_ELEM": (321, 280, "1, 0, 0"),
    "bpf: OBJ_GET": (321, 280, "7, 0, 0"),
    "bpf: PROG_GET_NEXT_ID": (321, 280, "11, 0, 0"),
    "bpf: MAP_GET_FD_BY_ID": (321, 280, "14, 0, 0"),
    "bpf: RAW_TRACEPOINT_OPEN": (321, 280, "17, 0, 0"),
    "bpf: BTF_LOAD": (321, 280, "18, 0, 0"),
    "bpf: LINK_CREATE": (321, 280, "28, 0, 0"),
    "socket: AF_ALG": (41, 198, "38, 5, 0"),
    "socket: AF_VSOCK": (41, 198, "40, 1, 0"),
}

# A node's capabilities forbid these too; with one more of them, the profile's rule would be another.
CAPABILITIES_TOO: Calls = {
    "kexec_load": (246, 104, "0, 0, 0, 0xffff"),
    "kexec_file_load": (320, 294, "-1, -1, 0, 0, 0xffff"),
    "init_module": (175, 105, "0, 0, 0"),
    "finit_module": (313, 273, "-1, 0, 0"),
    "delete_module": (176, 106, '"nowhere", 0'),
    "reboot": (169, 142, "0, 0, 0, 0"),
    "settimeofday": (164, 170, "0, 0"),
    "adjtimex": (159, 171, 'pack("Lx4qx192", 1, 0)'),
    "acct": (163, 89, '"/nowhere"'),
}

# Whether a node's capabilities forbid these depends on the kernel; 6.18 asks for others than 5.10 does.
KERNELS_DIFFER: Calls = {
    "open_by_handle_at": (304, 265, "-1, 0, 0"),
    "syslog": (103, 116, "10, 0, 0"),
}

FORBIDDEN: Calls = {**PROFILE_ALONE, **CAPABILITIES_TOO, **KERNELS_DIFFER}

# The engine in a node needs these.
ALLOWED: Calls = {
    "bpf: PROG_LOAD": (321, 280, "5, 0, 0"),
    "bpf: PROG_ATTACH": (321, 280, "8, 0, 0"),
    "bpf: PROG_DETACH": (321, 280, "9, 0, 0"),
    "bpf: PROG_GET_FD_BY_ID": (321, 280, "13, 0, 0"),
    "bpf: OBJ_GET_INFO_BY_FD": (321, 280, "15, 0, 0"),
    "bpf: PROG_QUERY": (321, 280, "16, 0, 0"),
    "unshare": (272, 97, "0"),
    "setns": (308, 268, "-1, 0"),
    "pivot_root": (155, 41, '"/nowhere", "/nowhere"'),
    "mount": (165, 40, '"none", "/nowhere", "tmpfs", 0, 0'),
    "umount2": (166, 39, '"/nowhere", 0'),
}


def program(calls: Calls) -> str:
    """A Perl program that makes the calls and prints each one's name with its errno, or 0."""
    column = ("x86_64", "aarch64").index(platform.machine())
    lines = [
        "sub try { my ($name, $n, @all) = @_; printf '%s=%d|', $name, syscall($n, @all) == -1 ? $! : 0 }"
    ]
    for name, (*numbers, arguments) in calls.items():
        lines.append(f"try('{name}', {numbers[column]}, {arguments});")
    return "\n".join(lines)


def outcomes(printed: str) -> dict[str, str]:
    """The names of the errors by call, from what the program has printed; `ok` for none."""
    pairs = (entry.rpartition("=") for entry in printed.strip().rstrip("|").split("|"))
    return {name: errno.errorcode.get(int(code), "ok") for name, _, code in pairs}


def tried(lab: Lab, calls: Calls, around: str = "perl -") -> dict[str, str]:
    """What becomes of the calls on a node, in the program `around`."""
    script = f"{around} <<'EOF'\n{program(calls)}\nEOF"
    found = outcomes(lab.node("worker1").run(script, quiet=True).stdout)
    assert list(found) == list(calls)
    return found


def refused(calls: Calls) -> dict[str, str]:
    return dict.fromkeys(calls, "EPERM")


@pytest.mark.core
def test_the_kernel_refuses_what_no_engine_needs(lab: Lab) -> None:
    assert tried(lab, FORBIDDEN) == refused(FORBIDDEN)
    # As if there were no keyrings: runc then makes none for a task.
    assert tried(lab, {"keyctl": (250, 219, "0, -3, 0")}) == {"keyctl": "ENOSYS"}


def test_a_task_of_a_node_without_a_profile_of_its_own_may_do_no_more(
    lab: Lab, base_image: Callable[[Lab, str], str]
) -> None:
    task = "docker run -i --rm --security-opt seccomp=unconfined --cap-add SYS_ADMIN --cap-add SYS_PTRACE"
    assert tried(lab, FORBIDDEN, f"{task} {base_image(lab, 'worker1')} perl -") == refused(FORBIDDEN)


def test_the_kernel_lets_through_what_the_engine_needs(lab: Lab) -> None:
    assert {name: found for name, found in tried(lab, ALLOWED).items() if found in ("EPERM", "ENOSYS")} == {}


def test_capabilities_alone_would_allow_what_the_profile_forbids(lab: Lab) -> None:
    """The same container without the profile: so the calls above are real ones, and the profile matters."""
    node = topology.load().nodes[0]
    container = lab.context.client().containers.run(
        lab.node("worker1").container.image.id,
        [program(FORBIDDEN)],
        entrypoint=["perl", "-e"],
        cap_add=list(node.cap_add),
        security_opt=["seccomp=unconfined", "apparmor=unconfined", "label=disable"],
        network_mode="none",
        detach=True,
    )
    try:
        container.wait(timeout=60)  # a log that is followed may end before the last words
        found = outcomes(container.logs(stdout=True, stderr=False).decode())
    finally:
        container.remove(force=True, v=True)
    assert {name for name in PROFILE_ALONE if found[name] == "EPERM"} == set()
    assert {name for name in CAPABILITIES_TOO if found[name] not in ("EPERM", "ENOSYS")} == set()


@pytest.mark.core
def test_each_task_has_the_nodes_filter_and_its_own(lab: Lab, base_image: Callable[[Lab, str], str]) -> None:
    node, image = lab.node("worker1"), base_image(lab, "worker1")
    mode = "sed -n 's/^Seccomp:.//p' /proc/self/status"
    assert node.run(mode, quiet=True).stdout == "2\n"
    assert node.run(f"docker run --rm {image} {mode}", quiet=True).stdout == "2\n"
    refusal = node.run(
        f"docker run --rm {image} perl -e 'syscall(272, 0x10000000) == -1 and print 0+$!'", quiet=True
    )
    assert refusal.stdout == str(errno.EPERM)  # the task's own filter forbids `unshare`; the node's doesn't


# Reads and mounts each disk of the host, a loop device, and the kernel's log; /run is for no devices.
OPEN_DEVICES = """
    cd "$(mktemp -d)"
    devices() {
        awk 'NR > 2 { print $4, "b", $1, $2 }' /proc/partitions
        printf '%s\\n' 'loop b 7 0' 'kmsg c 1 11'
    }
    devices | while read -r name kind; do
        [ -e "$name" ] || mknod "$name" $kind
        ! head -c 1 "$name" >/dev/null 2>>refusals || echo "read $name"
        ! mount -o ro "$name" /mnt 2>>refusals || { umount /mnt; echo "mounted $name"; }
    done
    grep -c 'Operation not permitted$' refusals
"""


def test_devices_of_the_host_stay_closed(lab: Lab) -> None:
    node = lab.node("worker1")
    *opened, refusals = node.run(OPEN_DEVICES, quiet=True).stdout.splitlines()
    assert opened == []
    assert int(refusals) >= 2
    assert node.run("find /dev -type b", quiet=True).stdout == ""


@pytest.mark.core
def test_of_the_kernels_settings_only_the_nodes_own_network_is_writable(lab: Lab) -> None:
    places = "$(ls -d /proc/sys /proc/sysrq-trigger /proc/irq /proc/bus /proc/fs /sys 2>/dev/null)"
    find = f"find {places} -path /sys/fs/cgroup -prune -o -type f -writable -print"
    found = lab.node("worker1").run(find, quiet=True).stdout.splitlines()
    assert "/proc/sys/net/ipv4/ip_forward" in found
    assert [path for path in found if not path.startswith("/proc/sys/net/")] == []


def test_what_docker_hides_of_the_host_stays_hidden(lab: Lab) -> None:
    read = """
        for path in /proc/kcore /proc/keys /proc/timer_list /proc/acpi /sys/firmware; do
            [ ! -e $path ] || [ -d $path ] || head -c 1 $path
            [ ! -d $path ] || find $path -mindepth 1
        done
    """
    assert lab.node("worker1").run(read, quiet=True).stdout == ""


def test_no_process_of_the_host_is_in_sight(lab: Lab) -> None:
    node = lab.node("worker1")
    assert node.run("cat /proc/1/comm", quiet=True).stdout == "tini\n"
    assert "python" not in node.run("cat /proc/[0-9]*/comm 2>/dev/null || true", quiet=True).stdout
    namespace = node.run("readlink /proc/1/ns/pid", quiet=True).stdout.strip()
    assert namespace != str(Path("/proc/self/ns/pid").readlink())
