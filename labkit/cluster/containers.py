"""A lab's containers and network as the topology file describes them, created by testcontainers."""

import contextlib
import os
import threading
from collections.abc import Iterator
from typing import Any, Self

import docker
from docker.errors import APIError
from docker.types import EndpointConfig, IPAMConfig, IPAMPool, LogConfig, Ulimit
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network

from labkit.topology.topology import Service, Topology

_environment = threading.Lock()
_NO_RIGHT = "error setting rlimit"  # what runc says

# Ryuk would remove the lab when the kernel or command that started it ends. Labels and `down` clean up.
testcontainers_config.ryuk_disabled = True
# Its own client, which `_unconnected` makes, must not log in to a registry. The setter would log a warning.
testcontainers_config._docker_auth_config = None


class LabContainer(DockerContainer):
    """A container of the lab as the topology file describes it, without its health check.

    `start_containers` runs the check once instead, because a probe every second would cost too much.
    """

    def __init__(self, client: docker.DockerClient, topology: Topology, service: Service, image: str) -> None:
        with _environment_kept():
            super().__init__(image, name=service.container_name, docker_client_kw=_unconnected(client))
        self.get_docker_client().client = client
        for source, target, mode in service.volumes:
            self.with_volume_mapping(source, target, mode)
        for path in service.tmpfs:
            self.with_tmpfs_mount(path)
        if service.command:
            self.with_command(list(service.command))
        self.with_envs(**service.environment)
        self.with_kwargs(
            hostname=service.hostname,
            labels=service.labels,
            network=topology.network,
            networking_config={
                topology.network: EndpointConfig(
                    client.api.api_version, ipv4_address=service.address, aliases=[service.name]
                )
            },
            dns=list(service.dns),
            cap_add=list(service.cap_add),
            cap_drop=list(service.cap_drop),
            security_opt=service.api_security_opt,
            cgroupns=service.cgroup,
            device_cgroup_rules=list(service.device_cgroup_rules),
            mem_limit=service.memory,
            pids_limit=service.pids_limit,
            log_config=LogConfig(type=service.log_driver),
            ulimits=[
                Ulimit(name=name, soft=soft, hard=hard) for name, (soft, hard) in service.ulimits.items()
            ],
        )

    def start(self) -> Self:
        """Create and start the container, with the engine's own limits if it can't grant the requested ones.

        An engine without CAP_SYS_RESOURCE, such as one in a container, can't raise a limit above its own.
        """
        try:
            return super().start()
        except APIError as error:
            if _NO_RIGHT not in str(error.explanation) or not self._kwargs.pop("ulimits"):
                raise
        self.get_docker_client().client.api.remove_container(str(self._name), force=True, v=True)
        return super().start()


class LabNetwork(Network):
    """The lab's network as the topology file describes it."""

    def __init__(self, client: docker.DockerClient, topology: Topology) -> None:
        with _environment_kept():
            super().__init__(
                docker_client_kw=_unconnected(client),
                docker_network_kw={
                    "check_duplicate": True,  # engines before 25 would create a second one
                    "labels": topology.network_labels,
                    "driver": "bridge",
                    "ipam": IPAMConfig(pool_configs=[IPAMPool(subnet=str(topology.subnet))]),
                },
            )
        self._docker.client = client
        self.name = topology.network


def _unconnected(client: docker.DockerClient) -> dict[str, Any]:
    """Options that keep testcontainers' own client from contacting any engine, because `client` replaces it.

    If the lab is on another engine, the user's engine and certificates don't matter.
    """
    return {"version": client.api.api_version, "environment": {"DOCKER_HOST": "unix:///nowhere"}}


@contextlib.contextmanager
def _environment_kept() -> Iterator[None]:
    """Restore DOCKER_HOST, which testcontainers sets for the engine that it finds by itself.

    `DockerClient.__init__` in testcontainers 4.15 sets it for the whole process and its child processes.
    """
    with _environment:
        before = os.environ.get("DOCKER_HOST")
        try:
            yield
        finally:
            if before is None:
                os.environ.pop("DOCKER_HOST", None)
            else:
                os.environ["DOCKER_HOST"] = before
