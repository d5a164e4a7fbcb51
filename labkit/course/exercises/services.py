"""Chapter 4, run services."""

from collections.abc import Iterator

from labkit.course.grading import Exercise
from labkit.course.inspector import Inspector
from labkit.swarm import checks, explain
from labkit.swarm.checks import Verdict
from labkit.swarm.model import Service
from labkit.util.text import counted

_HANGING = ("paused", "rollback_paused")


def _exists(inspector: Inspector, name: str) -> tuple[Verdict, Service | None]:
    found = inspector.snapshot.service(name)
    return Verdict(found is not None, f"there is {'a' if found else 'no'} service {name}"), found


def _is_nginx(service: Service) -> Verdict:
    return Verdict(
        service.image.rpartition("/")[2].partition(":")[0] == "nginx",
        f"{service.name} runs the image {service.image}",
    )


def _agent(inspector: Inspector) -> Iterator[Verdict]:
    there, agent = _exists(inspector, "agent")
    yield there
    if agent is None:
        return
    yield _is_nginx(agent)
    kind = "is a global service" if agent.replicas is None else f"has {agent.replicas} replicas"
    yield Verdict(
        agent.replicas is None, f"agent {kind}" + ("" if agent.replicas is None else ": none for a new node")
    )
    yield inspector.holds(checks.publishes("agent", 9100, 80, "host"))
    places = {task.node for task in inspector.running("agent")}
    without = [node.name for node in inspector.snapshot.nodes if node.name not in places]
    yield Verdict(
        not without, f"no agent runs on {', '.join(without)}" if without else "every node has its agent"
    )


def _without_a_dip(inspector: Inspector) -> Iterator[Verdict]:
    there, web = _exists(inspector, "web")
    yield there
    if web is None:
        return
    yield inspector.holds(checks.running("web", 4, image="web:3"))
    settings = (inspector.service("web") or {})["Spec"].get("UpdateConfig") or {}
    order, parallelism = settings.get("Order", "stop-first"), settings.get("Parallelism", 1)
    meaning = "the new task comes first" if order == "start-first" else "the old task goes first"
    yield Verdict(order == "start-first", f"updates of web are {order}: {meaning}")
    yield Verdict(
        parallelism == 1,
        f"updates of web replace {counted(parallelism, 'task') if parallelism else 'all tasks'} at a time",
    )
    gaps = [f"{slot}" for slot in sorted(_gaps(inspector))]
    if gaps:
        text = f"slot {', '.join(gaps)} was empty during the last update: go back to web:2 and try again"
        yield Verdict(False, text)
    else:
        yield Verdict(True, "no slot was empty during the last update")


def _gaps(inspector: Inspector) -> Iterator[int]:
    """The slots of `web` in which every earlier task was gone before the present one ran."""
    for task in (task for task in inspector.tasks("web") if task.image == "web:3"):
        before = [
            other
            for other in inspector.snapshot.tasks
            if other.service == "web" and other.slot == task.slot and not other.wanted
        ]
        # Not the youngest alone: an update that was called off leaves a younger one that never took over.
        if before and all(other.state != "running" and other.changed < task.changed for other in before):
            yield task.slot


def _back(inspector: Inspector) -> Iterator[Verdict]:
    there, web = _exists(inspector, "web")
    yield there
    if web is None:
        return
    yield Verdict(web.image == "web:3", f"web is set to the image {web.image}")
    told = f"the last update of web is {web.update}" if web.update else "web hasn't been updated yet"
    yield Verdict(web.update not in _HANGING, told)
    yield inspector.holds(checks.running("web", 4, image="web:3"))


def _report(inspector: Inspector) -> Iterator[Verdict]:
    there, report = _exists(inspector, "report")
    yield there
    if report is None:
        return
    asked = ", ".join(report.constraints) or "no constraint"
    bound = [text.replace(" ", "") for text in report.constraints] == ["node.labels.gpu==yes"]
    yield Verdict(bound, f"report asks for {asked}")
    yield inspector.holds(checks.label("worker1", "gpu", "yes"))
    yield inspector.holds(checks.label_nowhere_else("worker1", "gpu", "yes"))
    reserved = f"{report.memory / 2**20:,.0f} MiB" if report.memory else "no memory"
    yield Verdict(60_000_000 <= report.memory <= 70_000_000, f"a task of report reserves {reserved}")
    yield inspector.holds(checks.running("report", 1))


def _catalog(inspector: Inspector) -> Iterator[Verdict]:
    there, catalog = _exists(inspector, "catalog")
    yield there
    if catalog is None:
        return
    limit = catalog.memory_limit
    yield Verdict(120_000_000 <= limit <= 140_000_000, f"a task of catalog may use {_size(limit)}")
    container = (inspector.service("catalog") or {})["Spec"]["TaskTemplate"]["ContainerSpec"]
    command = " ".join([*(container.get("Command") or ()), *(container.get("Args") or ())])
    loads = "product[n++]" in command
    yield Verdict(loads, f"catalog {'still loads' if loads else 'no longer loads'} its products")
    yield inspector.holds(checks.running("catalog", 1))


def _size(memory: int) -> str:
    return f"{memory / 2**20:,.0f} MiB of memory" if memory else "any amount of memory"


def _how_agent_stands(inspector: Inspector) -> str:
    agent = inspector.snapshot.service("agent")
    if agent is None:
        return "There's no service agent: docker service create -d --name agent, with --mode and -p."
    return f"{_ordered(agent)}. The mode cannot be changed: remove agent and create it again."


def _ordered(service: Service) -> str:
    """What the service asks for, in brief."""
    kind = "one task on each node" if service.replicas is None else f"{service.replicas} replicas"
    ports = ", ".join(map(str, service.ports)) or "none"
    rules = f", only where {' and '.join(service.constraints)}" if service.constraints else ""
    return f"{service.name} is set to run {kind} of {service.image}{rules}, ports: {ports}"


def _how_catalog_ended(inspector: Inspector) -> str:
    found = explain.troubles(inspector.snapshot, "catalog")
    return " ".join(found) or "Now docker service ps catalog shows how its task is doing."


def _what_report_waits_for(inspector: Inspector) -> str:
    return (
        " ".join(explain.troubles(inspector.snapshot, "report"))
        or "Now docker service ps report shows where it runs."
    )


def _how_web_stands(inspector: Inspector) -> str:
    web, found = inspector.snapshot.service("web"), inspector.service("web")
    if web is None or found is None:
        return "There's no service web anymore: run the chapter's cells again, from the top."
    before = found.get("PreviousSpec", {}).get("TaskTemplate", {}).get("ContainerSpec", {}).get("Image", "")
    named = before.partition("@")[0] or "nothing, because there is no earlier specification"
    return f"Right now, web is set to {web.image}. docker service rollback web would lead to {named}."


def _how_updates_go(inspector: Inspector) -> str:
    found = (inspector.service("web") or {}).get("Spec", {}).get("UpdateConfig") or {}
    order, parallelism = found.get("Order", "stop-first"), found.get("Parallelism", 1)
    return (
        f"Right now, updates of web are {order}, {parallelism or 'all'} at a time. --update-order "
        "start-first and --update-parallelism 1 go into one command with --image. If an attempt went "
        "wrong, go back to web:2 first."
    )


EXERCISES = {
    2: Exercise(
        task="Run a service agent of nginx:latest on every node; port 9100 of a node leads to its own agent",
        points=_agent,
        why="monitoring and log collectors run like this: one on every node, reached on that very node",
        hints=(
            "Which kind of service has a task on every node? Which kind of port stays on its node?",
            "Look at how edge was created. Does the agent need a constraint?",
            "--mode global, and the long form of -p: published=…,target=…,mode=host",
            _how_agent_stands,
        ),
    ),
    3: Exercise(
        task="Bring web to the image web:3, one task at a time, with four tasks running at every moment",
        points=_without_a_dip,
        why="a dip in the middle of the day turns customers away; starting first only costs a little room",
        hints=(
            "By default the old task is stopped first. One of the options starts the new one first.",
            "docker service update --help | grep order",
            _how_updates_go,
        ),
    ),
    4: Exercise(
        task="Bring web back to four tasks of web:3, with no update left hanging",
        points=_back,
        why="a rollback undoes only the last update, so after two of them you have to name the good image",
        hints=(
            "A rollback goes back one step, and your colleague's --force was the last one.",
            _how_web_stands,
            "An update doesn't have to go forward: docker service update --image with the image you want.",
        ),
    ),
    5: Exercise(
        task="Make the task of report run on worker1, with 64 MB reserved and its constraint as it is",
        points=_report,
        why="a pending task says what it waits for, and often the fix is a label on a node",
        hints=(
            'Two things keep it waiting. lab.explain("report") describes the first.',
            "A label is added to the node, as for db. A reservation is changed with docker service update.",
            _what_report_waits_for,
        ),
    ),
    6: Exercise(
        task="Make catalog run with a memory limit of 128 MB",
        points=_catalog,
        why="exit code 137 with OOMKilled means a limit that is too low, or a program that leaks memory",
        hints=(
            "docker service ps catalog shows the exit code. 137 is 128 plus 9, the number of SIGKILL.",
            "docker inspect --format '{{.State.OOMKilled}}' on the node tells who sent it.",
            _how_catalog_ended,
        ),
    ),
}
