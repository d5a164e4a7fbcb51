"""Chapter 0, why orchestrate."""

from collections.abc import Iterator

from labkit.course.grading import Exercise
from labkit.course.inspector import Inspector
from labkit.swarm import checks
from labkit.swarm.checks import Verdict
from labkit.util.text import counted

_TICKET_FILE = "/lab/ticket-node"


def _survives(inspector: Inspector) -> Iterator[Verdict]:
    service = inspector.snapshot.service("blog")
    if service is None:
        yield Verdict(False, "there's no service blog")
        return
    yield Verdict(service.image.endswith("web:1"), f"blog uses the image {service.image}")
    running = inspector.running("blog")
    yield Verdict(len(running) >= 2, f"blog runs {counted(len(running), 'task')}")
    places = sorted({task.node for task in running})
    yield Verdict(len(places) >= 2, f"blog runs on {', '.join(places) or 'no node'}")


def _found_ticket(inspector: Inspector) -> Iterator[Verdict]:
    task = next(iter(inspector.running("ticket")), None)
    if task is None:
        yield Verdict(
            False, "no task of ticket is running: run the cell that starts the service ticket first"
        )
        return
    saved = inspector.file(_TICKET_FILE)
    if saved is None:
        yield Verdict(False, f"there's no file {_TICKET_FILE} yet")
    elif saved == task.node:
        yield Verdict(True, f"{_TICKET_FILE} names {saved}, where the task is running")
    elif task.node in saved.split():
        yield Verdict(False, f"{_TICKET_FILE} names the right node, but also contains something else")
    else:
        yield Verdict(False, f"{_TICKET_FILE} says '{saved}', but the task isn't running there")


def _six_of_blog(inspector: Inspector) -> Iterator[Verdict]:
    yield inspector.holds(checks.running("blog", 6))


def _only_blog(inspector: Inspector) -> Iterator[Verdict]:
    yield inspector.holds(checks.service_absent("nginx"))
    yield from _six_of_blog(inspector)


def _what_blog_lacks(inspector: Inspector) -> str:
    service = inspector.snapshot.service("blog")
    if service is None:
        return "There's no service blog yet: docker service create on manager1, with --name and --replicas."
    if service.replicas == 1:
        return (
            "blog has one replica, so while Swarm replaces it, nobody sees the blog. "
            "docker service scale changes the number."
        )
    return "docker service ps blog shows where its tasks run. Swarm picks the nodes if you don't restrict it."


def _where_ticket_was(inspector: Inspector) -> str:
    old = [task for task in inspector.snapshot.tasks if task.service == "ticket" and not task.wanted]
    return (
        "ticket has had other tasks before. --filter desired-state=running shows only the current one."
        if old
        else "docker service ps --format '{{.Node}}' ticket prints that column; > writes it to a file."
    )


def _how_blog_counts(inspector: Inspector) -> str:
    service = inspector.snapshot.service("blog")
    if service is None:
        return "The service blog is gone. Create it again, with six replicas."
    if service.replicas is None:
        return (
            "blog runs once on each node (global mode), so it can't be scaled. Remove it and create it again."
        )
    return f"blog has {service.replicas} desired replicas. docker service scale blog=… changes that number."


def _what_is_left_of_nginx(inspector: Inspector) -> str:
    service = inspector.snapshot.service("nginx")
    if service is None:
        return "The service nginx is gone. Does docker service ls show 6/6 for blog?"
    return f"The desired state still says {service.replicas} replicas of nginx. Remove the service itself."


def _news_is_out(inspector: Inspector) -> Iterator[Verdict]:
    service = inspector.snapshot.service("news")
    if service is None:
        yield Verdict(False, "there's no service news")
        return
    yield Verdict(service.image.endswith("web:1"), f"news uses the image {service.image}")
    yield inspector.holds(checks.running("news", 2))


def _what_news_says(inspector: Inspector) -> str:
    service = inspector.snapshot.service("news")
    if service is None:
        return "The service news is gone. Create it again: two replicas of web:1."
    if not service.image.endswith("web:1"):
        return f"news asks for {service.image}. docker service update --image IMAGE news changes that."
    return f"The image is right now. docker service ls should show 2/2; it wants {service.replicas}."


EXERCISES = {
    1: Exercise(
        task="Create a service blog from web:1 that stays reachable when any one node dies",
        points=_survives,
        why="the tasks on the other nodes keep answering, whichever node dies",
        hints=(
            "Swarm replaces a lost task, but that takes a while. How many tasks do you need in the meantime?",
            "It's the command that created shop, with a different name and number.",
            _what_blog_lacks,
        ),
    ),
    2: Exercise(
        task=f"Write the name of the node that runs the task of ticket to {_TICKET_FILE}",
        points=_found_ticket,
        why="you no longer choose the node yourself, so you have to be able to find out where a task runs",
        hints=(
            "docker service ps ticket, on a manager, has a column NODE.",
            "Read the name and write it with echo, or let --format pick it out.",
            _where_ticket_was,
        ),
        drill=True,
    ),
    5: Exercise(
        task="Get both tasks of news running, from the image web:1",
        points=_news_is_out,
        why="0/2 only says that something is wrong; the tasks say what, and docker service ps shows them",
        hints=(
            "Read the column ERROR of docker service ps --no-trunc news. What exactly does it say?",
            "Look at the tag of the image very closely, and compare it with the one that blog uses.",
            _what_news_says,
        ),
    ),
    3: Exercise(
        task="Scale blog to six replicas",
        points=_six_of_blog,
        why="in a swarm, handling more load is a matter of changing one number",
        hints=(
            "docker service scale --help shows how to write the command. Run it on a manager.",
            _how_blog_counts,
        ),
        drill=True,
    ),
    4: Exercise(
        task="Remove nginx from all nodes, and leave blog running",
        points=_only_blog,
        why="if you fight the containers, you fight Swarm; change the desired state instead",
        hints=(
            "Earlier you removed a container of shop. What did Swarm do about it?",
            "docker service --help lists what you can do with a service as a whole.",
            _what_is_left_of_nginx,
        ),
    ),
}
