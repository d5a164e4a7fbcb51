"""The machine in a container of the computer's own Docker engine, without any capability."""

import contextlib
import io
import tarfile
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import docker
from docker.errors import APIError, NotFound
from docker.types import LogConfig

from labkit.engine.vm.monitor import Line
from labkit.execution import Execution
from labkit.topology import CACHE_LABEL, LAB_LABEL
from labkit.tunnel import Stream

T = TypeVar("T")

LABEL = "org.labkit.machine"
_KVM = "/dev/kvm"
_PORT = "2376/tcp"
_STATE = "/state"
_OVERHEAD_MIB = 1536  # QEMU itself, and the code that it translates where it emulates


def with_kvm(run: Callable[[list[str]], T]) -> T:
    """Run a container with /dev/kvm, or without devices where the engine's computer has none."""
    try:
        return run([_KVM])
    except APIError as error:
        if _KVM not in str(error.explanation):
            raise
        return run([])


def runs_on_kvm(client: docker.DockerClient, image: str) -> bool:
    """Whether the engine's computer runs machines on KVM, tried with one that does nothing."""

    def attempt(devices: list[str]) -> bool:
        container = client.containers.create(
            image, ["runs-on-kvm", "/machine"], devices=devices, cap_drop=["ALL"], network_mode="none"
        )
        try:
            container.start()
            return bool(container.wait()["StatusCode"] == 0)
        finally:
            container.remove(force=True)

    return with_kvm(attempt)


class Container:
    """The home of a lab's machine that is a container; its state is a volume.

    `client` is one of the computer's own engine, `image` the content tag of the image `machine`, which only
    `launch` needs.
    """

    title = "a container"

    def __init__(self, lab: str, client: docker.DockerClient, image: str = "") -> None:
        self._lab, self._client, self._image = lab, client, image
        self._name = self._volume = f"{lab}-machine"

    @property
    def _entry(self) -> dict[str, Any] | None:
        labels = [f"{LAB_LABEL}={self._lab}", LABEL]
        found = self._client.api.containers(all=True, filters={"label": labels})
        return found[0] if found else None

    @property
    def running(self) -> bool:
        entry = self._entry
        return entry is not None and entry["State"] == "running"

    @property
    def port(self) -> int:
        ports = self._client.api.inspect_container(self._name)["NetworkSettings"]["Ports"]
        return int(ports[_PORT][0]["HostPort"])

    def launch(self, memory: int, snapshots: Sequence[str]) -> None:
        self._client.volumes.create(self._volume, labels={CACHE_LABEL: "machine"})
        with_kvm(lambda devices: self._start(memory, snapshots, devices))

    def _start(self, memory: int, snapshots: Sequence[str], devices: list[str]) -> None:
        self.remove()
        self._client.containers.run(  # type: ignore[call-overload]  # whose stubs do not know None there
            self._image,
            ["machine", "/machine", _STATE, "0.0.0.0:2376", str(memory), *snapshots],
            entrypoint=["tini", "--"],
            detach=True,
            name=self._name,
            hostname="machine",
            labels={LAB_LABEL: self._lab, LABEL: "1"},
            volumes=[f"{self._volume}:{_STATE}"],
            ports={_PORT: ("127.0.0.1", None)},  # of loopback, any free port
            devices=devices,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges:true"],
            mem_limit=f"{memory + _OVERHEAD_MIB}m",
            pids_limit=256,
            log_config=LogConfig(type="local"),
        )

    def console(self, lines: int) -> list[str]:
        with contextlib.suppress(NotFound):
            said: bytes = self._client.api.logs(self._name, tail=lines)
            return said.decode(errors="replace").splitlines()
        return []

    def read(self, name: str) -> bytes | None:
        try:
            chunks, _ = self._client.api.get_archive(self._name, f"{_STATE}/{name}")
        except NotFound:
            return None
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
            file = archive.extractfile(name)
            return file.read() if file else None

    def write(self, name: str, data: bytes) -> None:
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
        self._client.api.put_archive(self._name, _STATE, archive.getvalue())

    def dial(self, name: str) -> Line:
        return _Netcat(self._client, self._name, f"{_STATE}/{name}")

    def stop(self) -> None:
        with contextlib.suppress(NotFound):
            self._client.api.stop(self._name, timeout=10)

    @property
    def present(self) -> bool:
        return self._entry is not None

    def remove(self) -> list[str]:
        with contextlib.suppress(NotFound):
            self._client.api.remove_container(self._name, force=True, v=True)
            return [self._name]
        return []

    def forget(self) -> list[str]:
        with contextlib.suppress(NotFound):
            self._client.api.remove_volume(self._volume)
            return [self._volume]
        return []


class _Netcat:
    """A connection to a Unix socket in the container, which ends there when it is closed here."""

    def __init__(self, client: docker.DockerClient, container: str, path: str) -> None:
        self._process = Execution(client, container, ["nc", "-q", "0", "-U", path], stdin=True)
        self._reader = Stream(self._process).makefile("rb")

    def sendall(self, data: bytes) -> None:
        self._process.write(data)

    def readline(self) -> bytes:
        return self._reader.readline()

    def close(self) -> None:
        self._process.close_stdin()
        self._reader.read()  # until netcat has passed everything on and is gone
        self._process.close()
