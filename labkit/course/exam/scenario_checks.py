"""Checks that several scenarios share, beyond `checks`: verdicts about a service, its tasks, its ports."""

from collections import Counter
from collections.abc import Iterator

from labkit.course.inspector import Inspector
from labkit.swarm import checks
from labkit.swarm.checks import Verdict
from labkit.swarm.model import Task
from labkit.transport.commands import Result

TOKEN = "/lab/join-token"  # where the scripts of scenarios have their token
JOIN = f'docker swarm join --token "$(cat {TOKEN})" manager1:2377'
_ANSWER_SECONDS = 3


def there(inspector: Inspector, service: str) -> Verdict | None:
    """A failing verdict if a service is gone; None if it is there."""
    if inspector.snapshot.service(service):
        return None
    return Verdict(False, f"there is no service {service} anymore: it should have been repaired, not removed")


def same(inspector: Inspector, service: str, ident: str) -> Verdict | None:
    """A failing verdict if a service is gone or was created again; None if it is the same."""
    found = inspector.snapshot.service(service)
    if found and found.id != ident:
        return Verdict(False, f"{service} is a different service: the original was removed and created again")
    return there(inspector, service)


def only_on(inspector: Inspector, service: str, *nodes: str) -> Verdict:
    """Tasks of the service run, and on these nodes only."""
    found = inspector.snapshot.tasks_per_node(service)
    text = ", ".join(f"{count} on {node}" for node, count in sorted(found.items())) or "none anywhere"
    return Verdict(bool(found) and set(found) <= set(nodes), f"tasks of {service}: {text}")


def image(inspector: Inspector, service: str, wanted: str) -> Verdict:
    """The service asks for this image."""
    found = inspector.snapshot.service(service)
    name = found.image.removeprefix("docker.io/library/") if found else "nothing"
    return Verdict(name == wanted, f"{service} uses the image {name}")


def same_member(inspector: Inspector, name: str, ident: str) -> Verdict:
    """A node is the same member of the swarm as before: it has not left and joined again."""
    found = inspector.snapshot.node(name)
    same = found is not None and found.id == ident
    return Verdict(same, f"{name} {'is the member that it was' if same else 'has left, or was taken out'}")


def members(inspector: Inspector, *names: str) -> Iterator[Verdict]:
    """The swarm consists of these nodes, ready, each listed once."""
    yield inspector.holds(checks.nodes_ready(len(names)))
    listed = Counter(node.name for node in inspector.snapshot.nodes)
    wrong = [f"{name} {count}×" for name, count in sorted(listed.items()) if count > 1 or name not in names]
    wrong += [f"{name} not at all" for name in names if name not in listed]
    yield Verdict(not wrong, f"listed: {', '.join(wrong)}" if wrong else "every node is listed once")


def token(inspector: Inspector) -> Verdict:
    """The file `TOKEN` holds the token for workers."""
    saved, tokens = inspector.file(TOKEN), inspector.swarm["JoinTokens"]
    kind = next((role for role, token in tokens.items() if token == saved), None)
    text = {"Worker": "is the worker token", "Manager": "is the manager token", None: "isn't valid"}[kind]
    return Verdict(kind == "Worker", f"the token in {TOKEN} {text}")


def locks(inspector: Inspector) -> bool:
    """Whether managers need the unlock key after a restart."""
    return bool(inspector.swarm["Spec"].get("EncryptionConfig", {}).get("AutoLockManagers", False))


def history_limit(inspector: Inspector) -> int:
    """How many old tasks the swarm keeps of each replica."""
    return int(inspector.swarm["Spec"]["Orchestration"].get("TaskHistoryRetentionLimit", 0))


def old_tasks(inspector: Inspector, service: str) -> int:
    """How many old tasks of one replica of a service are listed, at most."""
    dead = Counter(
        task.slot for task in inspector.snapshot.tasks if task.service == service and not task.wanted
    )
    return max(dead.values(), default=0)


def networks(inspector: Inspector, service: str) -> set[str]:
    """The networks of a service, without the one for published ports."""
    found = inspector.snapshot.service(service)
    return set(found.networks) - {"ingress"} if found else set()


def ports(inspector: Inspector, service: str) -> list[tuple[str, int, int]]:
    """Mode, published and target port of all that a service publishes."""
    found = inspector.snapshot.service(service)
    return [(port.mode, port.published, port.target) for port in found.ports] if found else []


def answers(inspector: Inspector, node: str, port: int) -> Verdict:
    """A web server answers on a node's port, to another node."""
    other = next(name for name in inspector.snapshot.engines if name != node)
    ask = f"curl --silent --output /dev/null --max-time {_ANSWER_SECONDS} http://{node}:{port}/"
    good = inspector.run(other, ask).exit_code == 0
    return Verdict(good, f"{node}:{port} {'answers' if good else 'gives no answer'}")


def inside(inspector: Inspector, task: Task, command: str) -> Result:
    """Run a command in a task's container; it may fail."""
    return inspector.run(task.node, f"docker exec {container(task)} {command}")


def container(task: Task) -> str:
    """A shell substitution, for the task's node, that gives the ID of the task's container."""
    return f'"$(docker ps --quiet --filter label=com.docker.swarm.task.id={task.id})"'
