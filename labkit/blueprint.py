"""A lab's containers and network as the topology file describes them, for testcontainers to make."""

from docker.types import EndpointConfig, IPAMConfig, IPAMPool, LogConfig
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network

from labkit import engine
from labkit.topology import Service, Topology

# Ryuk would remove the lab when the kernel or command that started it ends. Labels and `down` clean up.
testcontainers_config.ryuk_disabled = True


class LabContainer(DockerContainer):
    """A container of the lab as the topology file describes it, without its health check.

    `start_containers` asks once instead: probes that run for as long as the lab would cost too much.
    """

    def __init__(self, topology: Topology, service: Service, image: str) -> None:
        super().__init__(image, name=service.container_name, docker_client_kw=_unconnected())
        self.get_docker_client().client = engine.client()
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
                topology.network: EndpointConfig("1.41", ipv4_address=service.address, aliases=[service.name])
            },
            dns=list(service.dns),
            cap_add=list(service.cap_add),
            cap_drop=list(service.cap_drop),
            security_opt=list(service.security_opt),
            cgroupns=service.cgroup,
            device_cgroup_rules=list(service.device_cgroup_rules),
            mem_limit=service.memory,
            pids_limit=service.pids_limit,
            log_config=LogConfig(type=service.log_driver),
        )


class LabNetwork(Network):
    """The lab's network as the topology file describes it."""

    def __init__(self, topology: Topology) -> None:
        super().__init__(
            docker_client_kw=_unconnected(),
            docker_network_kw={
                "labels": topology.network_labels,
                "driver": "bridge",
                "ipam": IPAMConfig(pool_configs=[IPAMPool(subnet=str(topology.subnet))]),
            },
        )
        self._docker.client = engine.client()
        self.name = topology.network


def _unconnected() -> dict[str, str]:
    """Keep testcontainers' own client from asking for its engine's version: labkit's takes its place."""
    return {"version": engine.find().api_version}
