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
    """The swarm's state has survived: a new swarm has no services."""
    service = inspector.snapshot.service("web")
    if service is None:
        return Verdict(False, "this swarm has no service web, so it isn't the old state")
    return Verdict(True, f"the swarm has the service web, with {service.replicas} replicas")


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
            "manager1 isn't in a swarm. Unpack the backup with tar -C /var/lib/docker -xf /lab/swarm.tgz, "
            "and then run docker swarm init with --force-new-cluster."
        )
    if inspector.snapshot.quorum and not inspector.snapshot.service("web"):
        return (
            "manager1 runs a new, empty swarm. Run docker swarm leave --force, unpack the backup, "
            "and run docker swarm init with --force-new-cluster."
        )
    return "manager1 runs the restored swarm. The workers reconnect by themselves within a few seconds."


def _recovered(inspector: Inspector) -> Iterator[Verdict]:
    yield inspector.holds(checks.manager_status("worker2", "leader"))
    yield inspector.holds(checks.managers(1))
    yield _is_of_the_backup(inspector)
    yield _knows_web(inspector)


def _who_is_left(inspector: Inspector) -> str:
    if inspector.snapshot.quorum:
        return "worker2 answers again. Run docker node ls there to see who is listed as a manager."
    on = [name for name, seen in inspector.snapshot.engines.items() if seen.container == "running"]
    return f"Only {', '.join(on)} is on, with one vote of three. See docker swarm init --help there."


def _replaced(inspector: Inspector) -> Iterator[Verdict]:
    yield inspector.holds(checks.managers(3))
    yield inspector.holds(checks.nodes_ready(3))
    yield inspector.holds(checks.listed_once())
    yield _is_of_the_backup(inspector)
    yield _knows_web(inspector)


def _what_is_missing(inspector: Inspector) -> str:
    blank = [name for name, seen in inspector.snapshot.engines.items() if seen.swarm == "inactive"]
    if blank:
        return f"Not in a swarm yet: {', '.join(blank)}. Join as a manager, at the address worker2:2377."
    gone = [node for node in inspector.snapshot.nodes if node.status != "ready"]
    voters = [node.id for node in gone if node.manager_status]
    if voters:
        return f"{' '.join(voters)} is dead and still a manager. Demote it by this ID, and then remove it."
    if gone:
        return f"Entries of servers that are gone: {' '.join(node.id for node in gone)}. Remove them by ID."
    workers = [node.name for node in inspector.snapshot.nodes if node.role == "worker"]
    return (
        f"Still a worker: {', '.join(workers)}. Promote it."
        if workers
        else "Everything is there. Check again."
    )


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
    unlocked = [name for name, seen in inspector.snapshot.engines.items() if seen.manager]
    return (
        f"Unlocked: {', '.join(unlocked)}. docker swarm unlock-key shows the key there. On manager1, "
        "docker swarm unlock can read it from a file: docker swarm unlock < FILE"
    )


EXERCISES = {
    1: Exercise(
        task="Restore the swarm on manager1 from /lab/swarm.tgz, with its service and both workers",
        points=_restored,
        why="a backup that nobody has ever restored may turn out to be useless when you need it",
        hints=(
            "While the engine is frozen, replace the folder's content. Then let the engine continue, "
            "and start a manager from the folder.",
            "tar -C DIRECTORY -xf FILE unpacks into a directory. The backup contains the folder swarm.",
            _what_manager1_runs,
        ),
    ),
    2: Exercise(
        task="Let worker2 lead the swarm alone, with the state that it has",
        points=_recovered,
        why="without a quorum nothing is repaired, and one surviving manager is enough to save the state",
        hints=(
            "You used the option when you restored the backup. This time the folder is already in place.",
            _who_is_left,
            "Run docker swarm init --force-new-cluster on worker2, with --advertise-addr eth0.",
        ),
    ),
    3: Exercise(
        task="Bring the swarm back to three managers on three ready nodes, each listed once",
        points=_replaced,
        why="a swarm with one manager is one failure away from losing everything that you just saved",
        hints=(
            "There are two jobs: remove the old entries, and let the new servers join.",
            "docker swarm join-token manager, on worker2, prints the command for the new servers. "
            "docker node rm ID removes the entry of a server that isn't there anymore.",
            _what_is_missing,
        ),
    ),
    5: Exercise(
        task="Replace the dead manager: three managers on three ready nodes, each listed once",
        points=_replaced,
        why="a dead manager still counts for the quorum, so the next failure would stop all changes",
        hints=(
            "Try docker node rm with the ID of the dead entry. The error says what to do first.",
            _what_is_missing,
            "On worker2: docker node demote ID, docker node rm ID, docker node promote worker1.",
        ),
    ),
    4: Exercise(
        task="Unlock manager1, so that all three managers take part and autolock stays on",
        points=_unlocked,
        why="after a power cut every manager needs the key, so you must know where it is and how to use it",
        hints=(
            "A locked manager can't tell you its key. Which servers can?",
            _where_the_key_is,
            "docker swarm unlock reads the key from its input. In a terminal, it asks you for it.",
        ),
    ),
}
