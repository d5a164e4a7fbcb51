"""Chapter 0, why orchestrate."""

from collections.abc import Iterator

from labkit.course.grading import Exercise
from labkit.course.inspector import Inspector
from labkit.swarm import checks
from labkit.swarm.checks import Verdict

_TICKET_FILE = "/lab/ticket-node"


def _survives(inspector: Inspector) -> Iterator[Verdict]:
    service = inspector.snapshot.service("blog")
    if service is None:
        yield Verdict(False, "there is no service blog")
        return
    yield Verdict(service.image.endswith("web:1"), f"blog is made from the image {service.image}")
    running = inspector.running("blog")
    yield Verdict(len(running) >= 2, f"blog runs {len(running)} tasks")
    places = sorted({task.node for task in running})
    yield Verdict(len(places) >= 2, f"blog runs on {', '.join(places) or 'no machine'}")


def _found_ticket(inspector: Inspector) -> Iterator[Verdict]:
    task = next(iter(inspector.running("ticket")), None)
    if task is None:
        yield Verdict(False, "no task of ticket runs: run the cell that starts the service ticket first")
        return
    saved = inspector.file(_TICKET_FILE)
    if saved is None:
        yield Verdict(False, f"there is no file {_TICKET_FILE} yet")
    elif saved == task.node:
        yield Verdict(True, f"{_TICKET_FILE} names {saved}, which runs the task")
    elif task.node in saved.split():
        yield Verdict(False, f"{_TICKET_FILE} names the right machine, and more than that")
    else:
        yield Verdict(False, f"{_TICKET_FILE} says '{saved}', which does not run the task")


def _six_of_blog(inspector: Inspector) -> Iterator[Verdict]:
    yield inspector.holds(checks.running("blog", 6))


def _only_blog(inspector: Inspector) -> Iterator[Verdict]:
    yield inspector.holds(checks.service_absent("nginx"))
    yield from _six_of_blog(inspector)


def _what_blog_lacks(inspector: Inspector) -> str:
    service = inspector.snapshot.service("blog")
    if service is None:
        return "There is no service blog yet: docker service create, with --name and --replicas, on manager1."
    if service.replicas == 1:
        return (
            "blog has one copy. While that is replaced, nothing of it runs. docker service scale changes it."
        )
    return "See where its tasks are: docker service ps blog. Machines are chosen for you if you name none."


def _where_ticket_was(inspector: Inspector) -> str:
    old = [task for task in inspector.snapshot.tasks if task.service == "ticket" and not task.wanted]
    return (
        "ticket has had other tasks too. --filter desired-state=running leaves those that should run."
        if old
        else "docker service ps --format '{{.Node}}' ticket prints the column alone; > writes it to a file."
    )


def _how_blog_counts(inspector: Inspector) -> str:
    service = inspector.snapshot.service("blog")
    if service is None:
        return "There is no service blog any more: create it again, with six replicas."
    if service.replicas is None:
        return (
            "blog runs once on each machine (global mode) and cannot be scaled: remove and create it again."
        )
    return f"blog is ordered with {service.replicas} replicas. docker service scale blog=… changes that."


def _what_is_left_of_nginx(inspector: Inspector) -> str:
    service = inspector.snapshot.service("nginx")
    if service is None:
        return "The service is gone. Is blog as it was? docker service ls shows it."
    return f"The order still stands: nginx with {service.replicas} replicas. Take back the order itself."


EXERCISES = (
    Exercise(
        task="Create a service blog from web:1 of which some still runs when any one machine dies",
        points=_survives,
        why="the copies that are left go on answering while the lost one is replaced",
        hints=(
            "One copy is replaced after a while. How many do you need so that something always runs?",
            "It is the command that has created shop, with other names and numbers.",
            _what_blog_lacks,
        ),
    ),
    Exercise(
        task=f"Write the name of the machine that runs the task of ticket to {_TICKET_FILE}",
        points=_found_ticket,
        why="you no longer choose the machine, so you have to be able to ask where a task is",
        hints=(
            "docker service ps ticket, on a manager, has a column NODE.",
            "Read it and write it by hand with echo, or let --format pick it out.",
            _where_ticket_was,
        ),
    ),
    Exercise(
        task="Let blog run six tasks",
        points=_six_of_blog,
        why="to carry more load is one number in a swarm, not an evening of work",
        hints=(
            "docker service scale --help shows the form of the command. Run it on a manager.",
            _how_blog_counts,
        ),
    ),
    Exercise(
        task="Take nginx away from every machine, and leave blog running",
        points=_only_blog,
        why="whoever fights the containers fights the swarm; change what you have ordered instead",
        hints=(
            "You removed a container of shop before. What did the swarm do?",
            "docker service --help lists what can be done with a service as a whole.",
            _what_is_left_of_nginx,
        ),
    ),
)
