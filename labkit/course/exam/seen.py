"""What several scenarios look at, beyond `checks`: verdicts about one service, its tasks, its ports."""

from collections import Counter
from collections.abc import Iterator

from labkit import checks
from labkit.checks import Verdict
from labkit.course.look import Look
from labkit.model import Task
from labkit.running import Result

TOKEN = "/lab/join-token"  # where the scripts of scenarios have their token
JOIN = f'docker swarm join --token "$(cat {TOKEN})" manager1:2377'
_ANSWER_SECONDS = 3


def there(look: Look, service: str) -> Verdict | None:
    """The failing verdict where a service is gone; None where it is there."""
    if look.snapshot.service(service):
        return None
    return Verdict(False, f"there is no service {service} any more: it was to be repaired, not removed")


def same(look: Look, service: str, ident: str) -> Verdict | None:
    """The failing verdict where a service is gone or another one was made; None where it is the same."""
    found = look.snapshot.service(service)
    if found and found.id != ident:
        return Verdict(False, f"{service} is not the service that was there: it was removed and made anew")
    return there(look, service)


def places(look: Look, service: str) -> Counter[str]:
    """How many tasks of a service run on each node."""
    return Counter(task.node for task in look.running(service))


def only_on(look: Look, service: str, *nodes: str) -> Verdict:
    """Tasks of the service run, and on these nodes only."""
    found = places(look, service)
    words = ", ".join(f"{count} on {node}" for node, count in sorted(found.items())) or "none anywhere"
    return Verdict(bool(found) and set(found) <= set(nodes), f"tasks of {service}: {words}")


def image(look: Look, service: str, wanted: str) -> Verdict:
    """The service is to run this image."""
    found = look.snapshot.service(service)
    name = found.image.removeprefix("docker.io/library/") if found else "nothing"
    return Verdict(name == wanted, f"{service} is to run {name}")


def same_member(look: Look, name: str, ident: str) -> Verdict:
    """A node is the member of the swarm that it was: it has not left and joined again."""
    found = look.snapshot.node(name)
    same = found is not None and found.id == ident
    return Verdict(same, f"{name} {'is the member that it was' if same else 'has left, or was taken out'}")


def members(look: Look, *names: str) -> Iterator[Verdict]:
    """The swarm consists of these nodes, ready, each listed once."""
    yield look.holds(checks.nodes_ready(len(names)))
    listed = Counter(node.name for node in look.snapshot.nodes)
    wrong = [f"{name} {count}×" for name, count in sorted(listed.items()) if count > 1 or name not in names]
    wrong += [f"{name} not at all" for name in names if name not in listed]
    yield Verdict(not wrong, f"listed: {', '.join(wrong)}" if wrong else "every node is listed once")


def token(look: Look) -> Verdict:
    """What is in `TOKEN` lets in a worker."""
    saved, tokens = look.file(TOKEN), look.swarm["JoinTokens"]
    kind = next((role for role, token in tokens.items() if token == saved), None)
    words = {"Worker": "lets in a worker", "Manager": "lets in a manager", None: "opens nothing"}[kind]
    return Verdict(kind == "Worker", f"what {TOKEN} holds {words}")


def locks(look: Look) -> bool:
    """Whether managers need the key after a restart."""
    return bool(look.swarm["Spec"].get("EncryptionConfig", {}).get("AutoLockManagers", False))


def history_limit(look: Look) -> int:
    """How many old tasks the swarm keeps of each replica."""
    return int(look.swarm["Spec"]["Orchestration"].get("TaskHistoryRetentionLimit", 0))


def old_tasks(look: Look, service: str) -> int:
    """How many old tasks of one replica of a service are listed, at most."""
    dead = Counter(task.slot for task in look.snapshot.tasks if task.service == service and not task.wanted)
    return max(dead.values(), default=0)


def networks(look: Look, service: str) -> set[str]:
    """The networks that a service is in, apart from that of published ports."""
    found = look.snapshot.service(service)
    return set(found.networks) - {"ingress"} if found else set()


def ports(look: Look, service: str) -> list[tuple[str, int, int]]:
    """Mode, published and target port of all that a service publishes."""
    found = look.snapshot.service(service)
    return [(port.mode, port.published, port.target) for port in found.ports] if found else []


def answers(look: Look, node: str, port: int) -> Verdict:
    """A web server answers on a node's port, to another node."""
    other = next(name for name in look.snapshot.engines if name != node)
    ask = f"curl --silent --output /dev/null --max-time {_ANSWER_SECONDS} http://{node}:{port}/"
    good = look.run(other, ask).exit_code == 0
    return Verdict(good, f"{node}:{port} {'answers' if good else 'gives no answer'}")


def inside(look: Look, task: Task, command: str) -> Result:
    """Run a command in a task's container; it may fail."""
    return look.run(task.node, f"docker exec {container(task)} {command}")


def container(task: Task) -> str:
    """What a shell on a task's node replaces by the ID of the task's container."""
    return f'"$(docker ps --quiet --filter label=com.docker.swarm.task.id={task.id})"'
