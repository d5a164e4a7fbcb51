"""A bundle, saved here, starts the lab on a machine that has no network at all."""

import hashlib
import re
import shutil
import socket
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from labkit.bundle import verify
from labkit.bundle.manifest import digest
from labkit.engine.find import connect, own_engine
from labkit.images import builder
from labkit.topology import topology
from tests import airgap
from tests.airgap import Machine
from tests.helpers import labkit, wait_for_line

pytestmark = pytest.mark.engine

LAB = "test-bundle"


@pytest.fixture(scope="module")
def python() -> str:
    """The version of the Python that `./lab` would find on this machine."""
    show = "import sys; print('%d.%d' % sys.version_info[:2])"
    done = subprocess.run(["python3", "-c", show], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, python: str) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("saved")
    (folder / "lab.bundle.part").write_text("what a killed save has left")
    (folder / "lab.bundle").write_text("an older one")
    file = str(folder / "lab.bundle")
    done = labkit("bundle", "save", file, "--python", python, "--engine", "vm", timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [path.name for path in folder.iterdir()] == ["lab.bundle"]
    yield folder / "lab.bundle"
    (folder / "lab.bundle").unlink()  # pytest would keep hundreds of megabytes


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    if lacks := airgap.lacks():
        pytest.skip(lacks)
    folder = tmp_path_factory.mktemp("airgap") / "machine"
    with airgap.machine(folder) as made:
        yield made
    assert not folder.exists()
    assert str(folder) not in Path("/proc/self/mountinfo").read_text()
    told = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not [line for line in told if str(folder).encode() in line]


@pytest.fixture(scope="module")
def project(machine: Machine, bundle: Path) -> Path:
    """The project as it comes out of the bundle; its images are loaded."""
    assert machine.run("tar", "xf", str(bundle), "swarm-lab").returncode == 0
    folder = machine.folder / "swarm-lab"
    done = machine.run("./lab", "bundle", "load", str(bundle), cwd=folder, timeout=600)
    assert done.returncode == 0, done.stdout
    assert not (folder / ".wheels").exists()
    return folder


def wanted() -> set[str]:
    return {*builder.content_tags(topology.load().images), builder.content_tag("machine")}


def digests(archive: tarfile.TarFile) -> dict[str, str]:
    """The SHA-256 of each file in an archive, by its name."""
    files = ((member.name, archive.extractfile(member)) for member in archive)
    return {name: hashlib.file_digest(file, "sha256").hexdigest() for name, file in files if file}


def test_a_bundle_is_whole_and_fits_the_machine_that_made_it(bundle: Path) -> None:
    manifest = verify.check(bundle, lambda *_: None)
    verify.require_this_host(manifest, bundle)
    assert set(manifest.images) == wanted()


def test_where_there_is_no_docker_the_machines_disks_are_unpacked(bundle: Path, tmp_path: Path) -> None:
    nowhere = {"DOCKER_HOST": f"unix://{tmp_path}/nowhere.sock", "LABKIT_STATE_DIR": str(tmp_path)}
    done = labkit("bundle", "load", str(bundle), timeout=300, **nowhere)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "labkit up --engine vm" in done.stdout
    unpacked = {f"machine/{path.name}": digest(path).sha256 for path in (tmp_path / "machine").iterdir()}
    with closing(connect(own_engine(), 600)) as client, (tmp_path / "image.tar").open("wb") as copy:
        container = client.containers.create(builder.content_tag("machine"))
        try:
            copy.writelines(container.get_archive("/machine")[0])
        finally:
            container.remove()
    with tarfile.open(tmp_path / "image.tar") as archive:
        assert unpacked == digests(archive)
    shutil.rmtree(tmp_path)  # pytest would keep two gigabytes


def test_the_machine_has_no_network(machine: Machine) -> None:
    assert machine.run("ip", "route", "show", "default").stdout == ""
    links = machine.run("ip", "-brief", "link").stdout.split()
    assert [link for link in links if link.startswith(("eth", "en", "wl"))] == []
    outside = "import socket; socket.create_connection(('192.0.2.1', 443), 5)"
    assert "Network is unreachable" in machine.run("python3", "-c", outside).stdout
    by_name = "import socket; socket.getaddrinfo('example.org', 443)"
    assert "gaierror" in machine.run("python3", "-c", by_name).stdout
    assert machine.run("ls", "/run/docker.sock").returncode != 0


def test_the_lab_starts_and_runs_services_without_network(machine: Machine, project: Path) -> None:
    served = machine.spawn("./lab", "start", "--no-browser", "--lab", LAB, cwd=project)
    try:
        found = wait_for_line(served, r"http://127\.0\.0\.1:\d+/lab\?token=[\w-]{40,}", seconds=180)
        fetch = f"import urllib.request; print(urllib.request.urlopen('{found[0]}', timeout=60).status)"
        assert machine.run("python3", "-c", fetch).stdout == "200\n"
        with pytest.raises(OSError):
            port = int(re.findall(r":(\d+)/", found[0])[0])
            socket.create_connection(("127.0.0.1", port), timeout=5).close()  # it is the other machine's
    finally:
        served.kill()
        served.wait()
    up = machine.run("./lab", "up", "--swarm", "--lab", LAB, cwd=project, timeout=180)
    assert up.returncode == 0, up.stdout
    assert "Setting up" not in up.stdout

    def on_manager(*command: str) -> str:
        done = machine.run(
            "./lab", "exec", "--lab", LAB, "manager1", "--", *command, cwd=project, timeout=180
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    nodes = on_manager("docker", "node", "ls", "--format", "{{.Hostname}} {{.Status}}").splitlines()
    assert sorted(nodes) == ["manager1 Ready", "worker1 Ready", "worker2 Ready"]
    on_manager("timeout", "120", "docker", "service", "create", "--name", "web", "--replicas", "3", "nginx")
    running = on_manager("docker", "service", "ps", "web", "--format", "{{.CurrentState}}").splitlines()
    assert [state.split()[0] for state in running] == ["Running"] * 3
    assert machine.run("./lab", "down", "--lab", LAB, cwd=project, timeout=120).returncode == 0
    with closing(machine.client()) as client:
        assert client.containers.list(all=True) == []


def test_a_load_that_was_killed_is_done_again(machine: Machine, project: Path, bundle: Path) -> None:
    with closing(machine.client()) as client:
        for image in client.images.list():
            client.images.remove(image.id or "", force=True)
        load = 'echo "pid $$"; exec ./lab bundle load "$0"'
        killed = machine.spawn("sh", "-c", load, str(bundle), cwd=project)
        pid = wait_for_line(killed, r"pid (\d+)")[1]
        wait_for_line(killed, "Bundle .*complete")
        wait_for_line(killed, "25 %")  # of the images
        assert machine.run("kill", "-9", pid).returncode == 0
        killed.communicate(timeout=30)
        assert wanted() - {tag for image in client.images.list() for tag in image.tags}

        for told in ("loaded", "already present"):  # and once more, where nothing is left to do
            again = machine.run("./lab", "bundle", "load", str(bundle), cwd=project, timeout=300)
            assert again.returncode == 0, again.stdout
            assert re.search(rf"[1-9] {told}", again.stdout)
        tags = {tag for image in client.images.list() for tag in image.tags}
        named = {image if ":" in image else f"{image}:latest" for image in topology.load().images}
        assert tags >= wanted() | named
