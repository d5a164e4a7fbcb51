"""A learner's place: one container, on a network of its own, with the powers of a node and nothing more."""

import asyncio
from typing import Any

from docker.errors import APIError
from dockerspawner import DockerSpawner
from traitlets import Bool, Int, List, Unicode

from labkit.course import command_log
from labkit.topology import topology
from labkit.workshop import labels, networks
from labkit.workshop.hub import settings

HOME, STORE, SEED = "/home/learner", "/var/lib/docker", "/seed"
_GATE = "labkit_gate"
_TRIES, _PAUSE_SECONDS = 600, 0.5


class PlaceSpawner(DockerSpawner):
    """Starts places as DockerSpawner starts containers, with their networks, volumes, and powers."""

    workshop = Unicode(help="The workshop's name.").tag(config=True)
    at_once = Int(4, help="How many places may start together; the others wait.").tag(config=True)
    pools = List(Unicode(), help="Where places have their networks.").tag(config=True)
    avoid = List(Unicode(), help="Subnets in use that the engine doesn't know of.").tag(config=True)
    internet = Bool(help="Whether places can reach what is outside the workshop.").tag(config=True)
    processes = Int(4096, help="How many processes a place may have.").tag(config=True)
    runtime = Unicode(help="The engine's runtime for places, such as sysbox-runc.").tag(config=True)

    @property
    def login(self) -> str:
        return str(self.user.name)

    async def start(self) -> tuple[str, int]:
        """Start the place once it's its turn; return its address when it answers.

        Starting all at once would make the first one wait for the last one: on few cores they'd share them.
        """
        gate = self.user.settings.setdefault(_GATE, asyncio.Semaphore(self.at_once))
        async with gate:
            await self._in_thread(self._prepare)
            ip, port = await super().start()  # type: ignore[no-untyped-call]
            await self._answer(ip, port)
            return ip, port

    def get_env(self) -> dict[str, str]:
        """The place's environment, which also says whether an instructor works in it."""
        env: dict[str, str] = super().get_env()  # type: ignore[no-untyped-call]
        if any(group.name == settings.INSTRUCTORS for group in self.user.groups):
            env[command_log.CLASS_ROLE] = command_log.INSTRUCTOR
        return env

    async def _answer(self, ip: str, port: int) -> None:
        """Return when the place's server listens. Raises RuntimeError with its last words if it ends.

        JupyterHub's own function for this blocks the hub while it connects.
        """
        for _ in range(_TRIES):
            try:
                _, writer = await asyncio.wait_for(asyncio.open_connection(ip, port), timeout=_PAUSE_SECONDS)
            except OSError:  # TimeoutError is one
                await asyncio.sleep(_PAUSE_SECONDS)
            else:
                writer.close()
                return
            if (ended := await self.poll()) is not None:  # type: ignore[no-untyped-call]
                said = await self.docker("logs", self.container_id, tail=5)
                raise RuntimeError(
                    f"the place of {self.login} ended: {ended} {said.decode(errors='replace')}"
                )
        raise RuntimeError(f"the place of {self.login} did not answer")

    async def _in_thread(self, work: Any) -> Any:
        """Do blocking work in the thread in which DockerSpawner makes its calls."""
        return await asyncio.wrap_future(self.executor.submit(work))

    def _prepare(self) -> None:
        """Make the place's network and volumes, as far as they're missing."""
        self.network_name = networks.provide(
            self.client, self.workshop, self.login, self.pools, self.avoid, internet=self.internet
        )
        for part in (labels.HOME, labels.ENGINE):
            self.client.create_volume(self._volume(part), labels=labels.of(self.workshop, part, self.login))

    def _volume(self, part: str) -> str:
        return f"{self.workshop}_{part}-{self.login}"

    def docker(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call docker-py as DockerSpawner does; a new container also gets what its settings can't say.

        Its settings are templates, so a seccomp profile's braces would be taken for fields.
        """
        if method == "create_container":
            kwargs["host_config"] = {**kwargs["host_config"], **self._host_config()}
            kwargs["labels"] = labels.of(self.workshop, labels.PLACE, self.login)
            kwargs["hostname"] = self.login
        return super().docker(method, *args, **kwargs)  # type: ignore[no-untyped-call]

    def _host_config(self) -> dict[str, Any]:
        seed = labels.volumes(self.client, self.workshop, labels.SEED)[0]["Name"]
        config: dict[str, Any] = {
            "AutoRemove": False,  # its log says why it ended
            "Binds": [
                f"{self._volume(labels.HOME)}:{HOME}",
                f"{self._volume(labels.ENGINE)}:{STORE}",
                f"{seed}:{SEED}:ro",
            ],
            "PidsLimit": self.processes,
            "MemorySwap": self.mem_limit,
            "LogConfig": {"Type": "local", "Config": {}},
        }
        if not self.internet:
            config["Dns"] = ["127.0.0.1"]  # refuses at once, where a packet that is dropped costs seconds
        if self.runtime:
            config["Runtime"] = self.runtime
        return config | powers()

    async def stop(self, now: bool = False) -> None:
        """Stop and remove the place; its network and volumes stay."""
        try:
            await super().stop(now)  # type: ignore[no-untyped-call]
        except APIError as error:
            if error.status_code != 404:
                raise


def powers() -> dict[str, Any]:
    """What the topology file gives to a node, as the engine's API takes it."""
    node = topology.load().nodes[0]
    return {
        "CapAdd": list(node.cap_add),
        "SecurityOpt": node.api_security_opt,
        "CgroupnsMode": node.cgroup,
        "DeviceCgroupRules": list(node.device_cgroup_rules),
        "Tmpfs": dict.fromkeys(node.tmpfs, ""),
        "Ulimits": [
            {"Name": name, "Soft": soft, "Hard": hard} for name, (soft, hard) in node.ulimits.items()
        ],
    }
