"""Creates, compares, and replaces the containers that make up a workshop besides the places."""

import contextlib
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import docker
from docker.errors import APIError, NotFound

from labkit.workshop import labels

_NOBODY = 65534


@dataclass(frozen=True)
class Part:
    """A container of a workshop, as it should be.

    `host` are the arguments of docker-py's `create_host_config`. `files` are written into it before it
    starts, by their paths; changing those of `lively` doesn't take another container, and with `any_image`
    neither does another image.
    """

    workshop: str
    name: str
    image: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    host: dict[str, Any] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    lively: dict[str, str] = field(default_factory=dict)
    user: str = ""
    any_image: bool = False

    @property
    def config(self) -> str:
        """What the container depends on: another text means another container."""
        image = "" if self.any_image else self.image
        parts = [image, self.command, self.environment, self.host, self.files, self.user]
        return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def ensure(client: docker.DockerClient, part: Part) -> tuple[str, bool]:
    """Return the container's id, and whether it's another one than before; create and start it if need be."""
    api = client.api
    for entry in labels.containers(api, part.workshop, part.name):
        if entry["Labels"].get(labels.CONFIG) == part.config:
            _write(api, entry["Id"], part.lively, part.user)
            if entry["State"] == "paused":
                api.unpause(entry["Id"])
            api.start(entry["Id"])  # does nothing to a container that runs
            return str(entry["Id"]), False
        remove(api, entry["Id"])
    host = {"log_config": {"Type": "local", "Config": {}}, **part.host}
    ports = list(host.get("port_bindings", ()))
    made = api.create_container(
        part.image,
        part.command,
        name=f"{part.workshop}-{part.name}",
        environment=part.environment,
        labels={**labels.of(part.workshop, part.name), labels.CONFIG: part.config},
        host_config=api.create_host_config(**host),
        ports=[tuple(port.split("/")) for port in ports] or None,
        user=part.user or None,
    )
    _write(api, made["Id"], part.files | part.lively, part.user)
    try:
        api.start(made["Id"])
    except APIError:  # such as a port that is taken: nothing of a start that failed stays
        remove(api, made["Id"])
        raise
    return str(made["Id"]), True


def remove(api: docker.APIClient, container: str) -> None:
    """Remove a container, if it exists, with its anonymous volumes."""
    with contextlib.suppress(NotFound):
        api.remove_container(container, force=True, v=True)


def write(api: docker.APIClient, container: str, files: Mapping[str, str]) -> None:
    """Write files, by their paths, into a container or its volumes; only root can read them there."""
    _write(api, container, files, "")


def _write(api: docker.APIClient, container: str, files: Mapping[str, str], user: str) -> None:
    if not files:
        return
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for path, text in files.items():
            content = text.encode()
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.size, entry.mode = len(content), 0o400
            entry.uid = entry.gid = _NOBODY if user else 0
            tar.addfile(entry, io.BytesIO(content))
    api.put_archive(container, "/", archive.getvalue())
