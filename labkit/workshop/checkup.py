"""The check for the day before: what a host has, how many places fit on it, and one place started to see."""

import socket
import time
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import docker
from docker.errors import APIError

from labkit.engine.selection import EngineContext
from labkit.images import builder, vm_disk
from labkit.util import command_hint
from labkit.util.console import ProgressReporter
from labkit.util.errors import LabError
from labkit.util.text import counted
from labkit.workshop import capacity, containers, image, labels, provision, removal, roster, settings
from labkit.workshop.capacity import Limit
from labkit.workshop.containers import Part
from labkit.workshop.settings import Workshop

_TRIAL_PORT = 0  # any that is free


class Line(NamedTuple):
    """One thing that was examined: whether it's fine, what was found, and what to do about it."""

    name: str
    title: str
    fine: bool
    found: str
    remedy: str = ""


@dataclass
class Checkup:
    """What `labkit workshop check` found. `places` is how many fit."""

    lines: list[Line] = field(default_factory=list)
    places: int = 0

    @property
    def fine(self) -> bool:
        return all(line.fine for line in self.lines)

    def add(self, name: str, title: str, fine: bool, found: str, remedy: str = "") -> None:
        self.lines.append(Line(name, title, fine, found, remedy))

    def as_json(self) -> dict[str, Any]:
        """The documented keys: `fine`, `places`, and for each check its name, `fine`, `found`, `remedy`."""
        checks = [
            {"name": line.name, "fine": line.fine, "found": line.found, "remedy": line.remedy}
            for line in self.lines
        ]
        return {"fine": self.fine, "places": self.places, "checks": checks}

    def text(self) -> str:
        """A line for each check, with what to do about it below."""
        said = []
        for line in self.lines:
            said.append(f" {'✓' if line.fine else '✗'} {line.title:<22} {line.found}")
            said += [f"   {'':<22} {line.remedy}"] if line.remedy and not line.fine else []
        return "\n".join(said)


def run(
    context: EngineContext, name: str, *, learners: int | None, port: int, reporter: ProgressReporter
) -> Checkup:
    """Examine the engine and its host, build what is missing, and start one place as a trial.

    The trial is a workshop of its own, which is removed. Raises LabError for what makes the rest pointless:
    no engine, no images.
    """
    client, found = context.own_client(timeout=600), Checkup()
    about = client.info()
    found.add("engine", "Docker engine", True, f"{about['ServerVersion']}, {about['OperatingSystem']}")
    builder.ensure_all(client, [f"labkit/{each}" for each in vm_disk.CARRIED], reporter)
    with reporter.step("Image labkit/workshop") as step:
        tag = image.ensure(client, step.note)
        step.result = tag.rpartition(":")[2]
    found.add("images", "Images", True, "all there, so the day itself needs no internet")
    running = len(labels.containers(client.api, name, labels.PLACE))
    _limits(found, capacity.limits(capacity.probe(client, tag), running), learners)
    _port(found, client, tag, name, port)
    _address(found, name)
    _trial(found, context, f"{name}-check", reporter)
    return found


def _limits(found: Checkup, limits: list[Limit], learners: int | None) -> None:
    found.places = limits[0].places
    wanted = (learners or 1) + 1  # an instructor has a place too
    for limit in limits:
        fine = limit.places >= wanted
        remedy = capacity.remedy([limit], wanted) if not fine else ""
        found.add(
            limit.resource,
            limit.resource.capitalize(),
            fine,
            f"{counted(limit.places, 'place')}: {limit.reason}",
            remedy,
        )
    fits = f"{counted(max(0, limits[0].places - 1), 'learner')} and an instructor fit"
    found.add("places", "Room", limits[0].places >= wanted, f"{fits}, limited by {limits[0].resource}")


def _port(found: Checkup, client: docker.DockerClient, tag: str, name: str, port: int) -> None:
    """Whether the port is free: a container that publishes it starts."""
    if entry := labels.container(client.api, name, labels.FRONT):
        published = [each.get("PublicPort") for each in entry["Ports"]]
        if port in published:
            found.add("port", "Port", True, f"{port} is the workshop's own")
            return
    probe = Part(f"{name}-check", labels.FRONT, tag, ["true"], host={"port_bindings": {"8443/tcp": port}})
    try:
        container, _ = containers.ensure(client, probe)
        containers.remove(client.api, container)
        found.add("port", "Port", True, f"{port} is free")
    except APIError as error:
        found.add(
            "port", "Port", False, str(error.explanation), "stop what uses it, or choose another with --port"
        )


def _address(found: Checkup, name: str) -> None:
    from labkit.workshop import certificate

    known = settings.load(name)
    host = known.host if known else certificate.this_host()
    try:
        resolved = sorted({str(each[4][0]) for each in socket.getaddrinfo(host, None)})
    except OSError as error:
        found.add(
            "address",
            "Address",
            False,
            f"{host}: {error.strerror}",
            "give an address that learners can reach: --host",
        )
        return
    loopback = all(each.startswith("127.") or each == "::1" for each in resolved)
    found.add(
        "address",
        "Address",
        not loopback,
        f"{host}{'' if resolved == [host] else ' is ' + ', '.join(resolved)}",
        "only this computer itself can reach that; give another one with --host",
    )


def _trial(found: Checkup, context: EngineContext, name: str, reporter: ProgressReporter) -> None:
    """Start a workshop of one, as learners will meet it, and remove it."""
    somebody = roster.Person("trial", "Trial", roster.INSTRUCTOR)
    trial = Workshop(name, host="127.0.0.1", port=_TRIAL_PORT, people=[somebody], prestart=False)
    try:
        removal.down(context, name)
        done = provision.up(context, trial, reporter, force=True)
        started = time.monotonic()
        client = context.own_client(timeout=600)
        failed = provision.prestart(client, done.workshop, [somebody.login], reporter)
        until_jupyterlab = time.monotonic() - started
        if failed:
            found.add("place", "One place", False, failed[0], command_hint.command("workshop", "check"))
            return
        lab = provision.wait_for_lab(client, name, somebody.login)
        found.add(
            "place",
            "One place",
            lab,
            f"JupyterLab after {until_jupyterlab:.1f} s, "
            + (f"the swarm after {time.monotonic() - started:.1f} s" if lab else "but no swarm"),
            "look at the log of the place: ~/.local/state/labkit/place.log in it",
        )
    except LabError as error:
        found.add("place", "One place", False, error.what, error.next_step)
    finally:
        removal.down(context, name)
