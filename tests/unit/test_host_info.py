"""The next step fits the machine."""

import pytest

from labkit.engine.host_info import Host, next_step, this_host

DEBIAN = ("debian",)


def test_debian_without_root_gets_the_exact_commands() -> None:
    step = next_step(Host("Linux", DEBIAN, systemd=True))
    assert step.splitlines() == [
        "sudo apt-get update",
        "     sudo apt-get install -y --no-install-recommends docker.io iptables",
        "     sudo systemctl start docker",
        "     sudo usermod -aG docker $USER, then log in again",
    ]


def test_root_needs_neither_sudo_nor_a_group() -> None:
    step = next_step(Host("Linux", DEBIAN, root=True))
    assert "sudo" not in step
    assert step.splitlines()[-1].strip() == "sh -c 'dockerd >/var/log/dockerd.log 2>&1 &'"


def test_installed_engine_is_only_started() -> None:
    assert next_step(Host("Linux", DEBIAN, systemd=True, root=True, dockerd=True)) == (
        "systemctl start docker"
    )


@pytest.mark.parametrize(
    ("families", "expected"),
    [
        (("ubuntu", "debian"), "apt-get install"),
        (("fedora",), "dnf install -y moby-engine"),
        (("manjaro", "arch"), "pacman -S"),
        (("opensuse-leap", "suse", "opensuse"), "zypper install"),
        (("rocky", "rhel", "centos", "fedora"), "https://docs.docker.com/engine/install/"),
        (("rhel", "fedora"), "https://docs.docker.com/engine/install/"),
        ((), "https://docs.docker.com/engine/install/"),
    ],
)
def test_each_distribution_has_its_step(families: tuple[str, ...], expected: str) -> None:
    assert expected in next_step(Host("Linux", families))


@pytest.mark.parametrize(
    ("system", "expected"), [("Darwin", "open -a Docker"), ("Windows", "start Docker Desktop")]
)
def test_docker_desktop(system: str, expected: str) -> None:
    assert next_step(Host(system)).startswith(expected)


def test_a_refused_user_is_told_first_and_then_the_choice() -> None:
    machine = Host("Linux", DEBIAN)
    assert next_step(machine, chosen="DOCKER_HOST", denied=True).startswith("sudo usermod")
    assert "DOCKER_HOST" in next_step(machine, chosen="DOCKER_HOST")


def test_only_debian_and_its_kin_are_debian_like() -> None:
    assert Host("Linux", ("ubuntu", "debian")).debian_like
    assert not Host("Linux", ("fedora",)).debian_like
    assert Host("Linux", ("ubuntu", "debian")).distribution == "Ubuntu"


def test_facts_come_from_os_release(monkeypatch: pytest.MonkeyPatch) -> None:
    release = {"ID": "linuxmint", "ID_LIKE": "ubuntu debian"}
    monkeypatch.setattr("platform.freedesktop_os_release", lambda: release)
    assert this_host().families == ("linuxmint", "ubuntu", "debian")


def test_a_system_without_os_release_has_no_family(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise OSError

    monkeypatch.setattr("platform.freedesktop_os_release", missing)
    assert this_host().families == ()
