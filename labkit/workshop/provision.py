"""Sets a workshop up, and takes it away again."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import docker

from labkit.engine.selection import EngineContext
from labkit.images import builder, vm_disk
from labkit.util import command_hint, lock
from labkit.util.console import ProgressReporter
from labkit.util.deadline import Deadline
from labkit.util.errors import LabError
from labkit.util.text import counted
from labkit.workshop import (
    capacity,
    cards,
    certificate,
    codes,
    house,
    image,
    labels,
    seed,
    settings,
)
from labkit.workshop.roster import Person
from labkit.workshop.settings import Workshop

_AT_ONCE_PER_CORE = 2


@dataclass
class Setup:
    """What `up` has done. `fresh` are the codes that were made, by login, which can be shown only now."""

    workshop: Workshop
    fresh: dict[str, str] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)


def up(context: EngineContext, wanted: Workshop, reporter: ProgressReporter, *, force: bool = False) -> Setup:
    """Set a workshop up, or bring it back; do only what is missing.

    Raises LabError: when not all places fit (unless `force`), when the port is taken, when an image can't be
    built.
    """
    with lock.hold(f"workshop-{wanted.name}", say=reporter.say):
        client = context.own_client(timeout=600)
        builder.ensure_all(client, [f"labkit/{name}" for name in vm_disk.CARRIED], reporter)
        with reporter.step("Image labkit/workshop") as step:
            tag = image.ensure(client, step.note)
            step.result = tag.rpartition(":")[2]
        found = _examine(client, wanted, tag, reporter, force=force)
        front = house.open_port(client, wanted, tag)  # first, because it fails at once or not at all
        with reporter.step("Images for the places") as step:
            step.result = seed.ensure(client, wanted.name, step.note)
        with reporter.step("Certificate and codes") as step:
            workshop, fresh = _with_secrets(client, tag, replace(wanted, seats=found))
            settings.save(workshop)
            write_cards(workshop, fresh)
            step.result = f"made {counted(len(fresh), 'code')}" if fresh else "as before"
        with reporter.step("Hub, proxy, class page") as step:
            at_once = max(2, int(client.info()["NCPU"]) * _AT_ONCE_PER_CORE)
            avoid = house.routes_to_avoid(context, client)
            house.start(client, workshop, tag, house.hub_settings(workshop, tag, avoid, at_once), front)
            house.wait_ready(client, workshop)
            step.result = workshop.url
        return Setup(workshop, fresh, prestart(client, workshop, _to_start(client, workshop), reporter))


def _examine(
    client: docker.DockerClient, wanted: Workshop, tag: str, reporter: ProgressReporter, *, force: bool
) -> int:
    """Return how many learners have room. Raises LabError if that's fewer than there are."""
    with reporter.step("Room") as step:
        running = len(labels.containers(client.api, wanted.name, labels.PLACE))
        found = capacity.limits(capacity.probe(client, tag), running)
        teachers = len(wanted.instructors)
        learners = wanted.seats if wanted.open else len(wanted.learners)
        if not force:
            fewer = max(0, found[0].places - teachers)
            remedy = command_hint.command("workshop", "up", "--learners", str(fewer))
            capacity.require(found, learners + teachers, f"{remedy}, or free some of it, or add --force")
        step.result = f"for {counted(found[0].places, 'place')}, limited by {found[0].resource}"
        return learners if wanted.open else max(learners, found[0].places - teachers)


def _with_secrets(client: docker.DockerClient, tag: str, wanted: Workshop) -> tuple[Workshop, dict[str, str]]:
    """The workshop with tokens, a certificate, and codes; and the codes that are new, by login."""
    workshop = wanted.with_tokens(*house.TOKENS)
    if not workshop.own_certificate and certificate.must_renew(
        workshop.certificate_for, workshop.certificate_ends, workshop.host
    ):
        made = certificate.make(client, tag, workshop.host)
        workshop = replace(
            workshop,
            certificate=made.certificate,
            key=made.key,
            certificate_for=workshop.host,
            certificate_ends=certificate.end(),
        )
    if workshop.open:
        return _with_open_codes(workshop)
    return with_codes(workshop, [each for each in workshop.people if each.login not in workshop.codes])


def _with_open_codes(workshop: Workshop) -> tuple[Workshop, dict[str, str]]:
    fresh = {}
    if not workshop.open_code:
        workshop = replace(workshop, open_code=codes.make(), instructor_code=codes.make_long())
        fresh = {each.login: workshop.instructor_code for each in workshop.instructors}
    return workshop, fresh


def with_codes(workshop: Workshop, people: Iterable[Person]) -> tuple[Workshop, dict[str, str]]:
    """The workshop with new codes for these people; and the codes themselves, by login."""
    fresh = {each.login: codes.make_long() if each.teaches else codes.make() for each in people}
    hashes = {login: codes.hashed(code) for login, code in fresh.items()}
    return replace(workshop, codes={**workshop.codes, **hashes}), fresh


def write_cards(workshop: Workshop, fresh: dict[str, str]) -> None:
    """Write the page of cards: those of before that are still right, and those of the `fresh` codes."""
    file = settings.cards_path(workshop.name)
    known = cards.read(file.read_text(encoding="utf-8")) if file.exists() else {}
    people: Sequence[Person] = workshop.learners
    if workshop.open:
        people, known = [Person("any-name-you-like", "Everybody")], {"any-name-you-like": workshop.open_code}
    text = cards.page(
        people,
        known | fresh,
        url=workshop.url,
        fingerprint=certificate.fingerprint(workshop.certificate),
        own=workshop.own_certificate,
        title=f"Swarm Lab: cards for workshop '{workshop.name}'",
    )
    settings.write_private(file, text)


def _to_start(client: docker.DockerClient, workshop: Workshop) -> list[str]:
    """Whose places to start: everybody's with `prestart`, and those that ended when the engine did."""
    ended = {
        entry["Labels"][labels.LEARNER]
        for entry in labels.containers(client.api, workshop.name, labels.PLACE)
        if entry["State"] != "running"
    }
    known = [each.login for each in workshop.people]
    everybody = known if workshop.prestart else []
    return [*dict.fromkeys([*everybody, *sorted(ended)])]


def prestart(
    client: docker.DockerClient, workshop: Workshop, logins: Sequence[str], reporter: ProgressReporter
) -> list[str]:
    """Start places through the hub, as a login does; return what failed, and why."""
    if not logins:
        return []
    failed: list[str] = []
    with reporter.step("Places") as step:
        ready = 0
        for line in _ask_hub(client, workshop.name, logins):
            if line["ready"]:
                ready += 1
                step.note(f"{ready} of {len(logins)} are ready: {line['login']} after {line['seconds']} s")
            else:
                failed.append(f"{line['login']}: {line['why']}")
        step.result = f"{ready} of {len(logins)} are ready"
    return failed


def wait_for_lab(client: docker.DockerClient, workshop: str, login: str, seconds: float = 120) -> bool:
    """Wait until the lab in a place is up; whether it is."""
    probe = ["sh", "-c", 'test -e "${LABKIT_STATE_DIR:-$HOME/.local/state/labkit}/place-ready"']
    place = next(
        iter(client.api.containers(filters=labels.filters(workshop, labels.PLACE, login))), {"Id": ""}
    )["Id"]
    return any(client.containers.get(place).exec_run(probe)[0] == 0 for _ in Deadline(seconds).attempts(0.3))


def _ask_hub(
    client: docker.DockerClient, workshop: str, logins: Sequence[str]
) -> Iterable[dict[str, object]]:
    entry = labels.container(client.api, workshop, labels.HUB)
    if entry is None:
        raise LabError(f"workshop '{workshop}' isn't up", next_step=command_hint.command("workshop", "up"))
    command = ["python", "-m", "labkit.workshop.hub.prestart", *logins]
    made = client.api.exec_create(entry["Id"], command)
    rest = b""
    other: list[str] = []
    for piece in client.api.exec_start(made["Id"], stream=True):
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            if line.startswith(b"{"):
                yield json.loads(line)
            else:
                other.append(line.decode(errors="replace"))
    if other:
        raise LabError(
            "the hub did not start the places", evidence=other[-5:], next_step="run the command again"
        )
