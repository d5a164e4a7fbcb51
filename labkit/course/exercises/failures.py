"""Chapter 8, survive failures."""

from collections.abc import Iterator

from labkit.course.grading import Exercise
from labkit.course.inspector import Inspector
from labkit.swarm import checks
from labkit.swarm.checks import Verdict

_BACKUP = "/lab/swarm.tgz"
_SWARM_OF_THE_BACKUP = (  # the O of a node's certificate is the swarm's ID
    f"tar -xOf {_BACKUP} swarm/certificates/swarm-node.crt | openssl x509 -noout -subject"
)


def _knows_web(inspector: Inspector) -> Verdict:
    """The swarm's state has survived: a new swarm knows no services."""
    service = inspector.snapshot.service("web")
    if service is None:
        return Verdict(False, "this swarm knows no service web: the old state is not in it")
    return Verdict(True, f"the swarm still knows the service web, with {service.replicas} replicas")


def _is_of_the_backup(inspector: Inspector) -> Verdict:
    manager = next(name for name, seen in inspector.snapshot.engines.items() if seen.manager)
    same = inspector.swarm["ID"] in inspector.run(manager, _SWARM_OF_THE_BACKUP).stdout
    return Verdict(same, f"it is {'' if same else 'not '}the swarm of the backup in {_BACKUP}")


def _restored(inspector: Inspector) -> Iterator[Verdict]:
    yield inspector.holds(checks.manager_status("manager1", "leader"))
    yield _knows_web(inspector)
    yield _is_of_the_backup(inspector)
    yield inspector.holds(checks.nodes_ready(3))


def _what_manager1_runs(inspector: Inspector) -> str:
    if inspector.snapshot.engines["manager1"].swarm == "inactive":
        return (
            "manager1 is in no swarm. First tar -C /var/lib/docker -xf /lab/swarm.tgz, "
            "then docker swarm init with --force-new-cluster."
        )
    if inspector.snapshot.quorum and not inspector.snapshot.service("web"):
        return "manager1 runs a new, empty swarm. Leave it with --force, extract the backup, init again."
    return "manager1 runs the restored swarm. The workers find it by themselves within some seconds."


def _recovered(inspector: Inspector) -> Iterator[Verdict]:
    yield inspector.holds(checks.manager_status("worker2", "leader"))
    yield inspector.holds(checks.managers(1))
    yield _is_of_the_backup(inspector)
    yield _knows_web(inspector)


def _who_is_left(inspector: Inspector) -> str:
    if inspector.snapshot.quorum:
        return "worker2 answers again. docker node ls on it shows who takes part."
    others = [name for name, seen in inspector.snapshot.engines.items() if seen.container == "running"]
    return f"{', '.join(others)} runs, and has one vote of three. Run it there: docker swarm init --help."


def _replaced(inspector: Inspector) -> Iterator[Verdict]:
    yield inspector.holds(checks.managers(3))
    yield inspector.holds(checks.nodes_ready(3))
    yield inspector.holds(checks.listed_once())
    yield _is_of_the_backup(inspector)
    yield _knows_web(inspector)


def _what_is_missing(inspector: Inspector) -> str:
    blank = [name for name, seen in inspector.snapshot.engines.items() if seen.swarm == "inactive"]
    if blank:
        return f"{', '.join(blank)}: in no swarm yet. Join as a manager, at the address worker2:2377."
    down = [node.id for node in inspector.snapshot.nodes if node.status != "ready"]
    if down:
        return f"Entries of machines that are gone: {' '.join(down)}. Remove them by these IDs, on a manager."
    workers = [node.name for node in inspector.snapshot.nodes if node.role == "worker"]
    return f"Workers: {', '.join(workers)}. Promote them." if workers else "All is there: check again."


def _unlocked(inspector: Inspector) -> Iterator[Verdict]:
    locks = inspector.swarm["Spec"]["EncryptionConfig"]["AutoLockManagers"]
    yield Verdict(locks, f"autolock is {'on' if locks else 'off'}")
    seen = inspector.snapshot.engines["manager1"]
    if seen.swarm == "locked":
        yield Verdict(False, "manager1 is still locked")
        return
    yield inspector.holds(checks.swarm_active("manager1"))
    yield inspector.holds(checks.managers(3))
    yield inspector.holds(checks.nodes_ready(3))
    yield inspector.holds(checks.listed_once())


def _where_the_key_is(inspector: Inspector) -> str:
    open_ones = [name for name, seen in inspector.snapshot.engines.items() if seen.manager]
    return (
        f"{', '.join(open_ones)} know the key: docker swarm unlock-key there. On manager1, let "
        "docker swarm unlock read it: docker swarm unlock < FILE"
    )


EXERCISES = (
    Exercise(
        task="Restore the swarm on manager1 from /lab/swarm.tgz, with its service and both workers",
        points=_restored,
        why="a backup that nobody has ever restored is only a hope",
        hints=(
            "Two steps: the folder goes back to its place, and the engine starts a manager from it.",
            "tar -C DIRECTORY -xf FILE extracts into a directory. The backup holds the folder swarm itself.",
            _what_manager1_runs,
        ),
    ),
    Exercise(
        task="Let worker2 lead the swarm alone, with the state that it has",
        points=_recovered,
        why="a swarm without a quorum heals nothing; one survivor is enough to save all of its state",
        hints=(
            "You have used the option already, to start a swarm of one from a folder. "
            "This time the folder is in place.",
            _who_is_left,
            "docker swarm init --force-new-cluster, with an advertise address, on worker2.",
        ),
    ),
    Exercise(
        task="Bring the swarm back to three managers on three ready nodes, each listed once",
        points=_replaced,
        why="entries of dead machines hide the living ones, and one manager alone cannot be lost again",
        hints=(
            "Two jobs: the old entries leave the list, and the blank machines join.",
            "docker swarm join-token manager, on worker2, prints the command that the blank machines need. "
            "Entries that nobody will come back for may go with docker node rm --force.",
            _what_is_missing,
        ),
    ),
    Exercise(
        task="Unlock manager1: all three managers take part, and autolock stays on",
        points=_unlocked,
        why="every restart of a manager needs the key at hand, also at night; practise it before you need it",
        hints=(
            "A locked manager cannot tell its key. Which machines can?",
            "docker swarm unlock reads the key from its input. In a terminal it asks you for it.",
            _where_the_key_is,
        ),
    ),
)
