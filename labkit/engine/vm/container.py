"""The home of a VM in a container of the user's own Docker engine, without any capability."""

import contextlib
import io
import tarfile
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import docker
from docker.errors import APIError, NotFound
from docker.types import LogConfig

from labkit.engine.foreign import Names, require_own
from labkit.engine.vm.monitor import LINE_SECONDS, Line
from labkit.topology.topology import CACHE_LABEL, LAB_LABEL
from labkit.transport.attach import Execution, put_file
from labkit.transport.tunnel import Stream

T = TypeVar("T")

LABEL = "org.labkit.machine"
_KVM = "/dev/kvm"
_PORT = "2376/tcp"
_STATE = "/state"
_OF_STATE = {CACHE_LABEL: "machine"}
_OVERHEAD_MIB = 1536  # QEMU itself, and the code that it translates when emulating


def with_kvm(run: Callable[[list[str]], T]) -> T:
    """Run a container with /dev/kvm, or without devices if the engine's host doesn't have it."""
    try:
        return run([_KVM])
    except APIError as error:
        if _KVM not in str(error.explanation):
            raise
        return run([])


def runs_on_kvm(client: docker.DockerClient, image: str) -> bool:
    """Whether the engine's host can run VMs with KVM, found out by running one that does nothing."""

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
    """The home of a lab's VM in a container; its state is a volume.

    `client` belongs to the user's own engine; `image` is the content tag of the image `machine`, which only
    `launch` needs.
    """

    title = "a container"

    def __init__(self, lab: str, client: docker.DockerClient, image: str = "") -> None:
        self._lab, self._client, self._image = lab, client, image
        self._name = self._volume = f"{lab}-machine"
        self._names = Names(lab, containers=(self._name,), volumes={self._volume: _OF_STATE})

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
        require_own(self._client, self._names)
        self._client.volumes.create(self._volume, labels=_OF_STATE)
        require_own(self._client, self._names)  # the engine leaves a volume of this name as it is
        with_kvm(lambda devices: self._start(memory, snapshots, devices))

    def _start(self, memory: int, snapshots: Sequence[str], devices: list[str]) -> None:
        self.remove()
        self._client.containers.run(  # type: ignore[call-overload]  # its stubs don't allow None there
            self._image,
            ["machine", "/machine", _STATE, "0.0.0.0:2376", str(memory), *snapshots],
            entrypoint=["tini", "--"],
            detach=True,
            name=self._name,
            hostname="machine",
            labels={LAB_LABEL: self._lab, LABEL: "1"},
            volumes=[f"{self._volume}:{_STATE}"],
            ports={_PORT: ("127.0.0.1", None)},  # any free port on loopback
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
        put_file(self._client.containers.get(self._name), f"{_STATE}/{name}", data)

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
            if entry := self._entry:  # not just by its name, which may be somebody else's
                self._client.api.remove_container(entry["Id"], force=True, v=True)
                return [self._name]
        return []

    def delete_state(self) -> list[str]:
        with contextlib.suppress(NotFound):
            labels = self._client.api.inspect_volume(self._volume)["Labels"] or {}
            if labels.items() >= _OF_STATE.items():
                self._client.api.remove_volume(self._volume)
                return [self._volume]
        return []


class _Netcat:
    """A connection to a Unix socket in the container; closing it here closes it there too."""

    def __init__(self, client: docker.DockerClient, container: str, path: str) -> None:
        self._process = Execution(client, container, ["nc", "-q", "0", "-U", path], stdin=True)
        self._process.settimeout(LINE_SECONDS)
        self._reader = Stream(self._process).makefile("rb")

    def sendall(self, data: bytes) -> None:
        self._process.write(data)

    def readline(self) -> bytes:
        return self._reader.readline()

    def close(self) -> None:
        try:
            self._process.close_stdin()
            self._reader.read()  # until netcat has forwarded everything and exited
        finally:
            self._process.close()
