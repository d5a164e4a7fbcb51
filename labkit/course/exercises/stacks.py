"""Chapter 7, ship stacks."""

from collections.abc import Iterator

import yaml

from labkit.course.grading import Exercise
from labkit.course.inspector import Inspector
from labkit.swarm import checks
from labkit.swarm.checks import Verdict

_STACK_LABEL = "com.docker.stack.namespace"
_TASK_LABEL = "com.docker.swarm.task.name"
_FILE = "/lab/blog.yml"
_LEAKED, _LEAKED_ID = "/lab/leaked-key", "/lab/leaked-key-id"


def _of_stack(inspector: Inspector, name: str, stack: str) -> Verdict:
    """Whether a service exists and belongs to a stack."""
    service = inspector.service(name)
    if service is None:
        others = [other.name for other in inspector.snapshot.services]
        return Verdict(False, f"there is no service {name} ({', '.join(others) or 'no service at all'})")
    found = (service["Spec"].get("Labels") or {}).get(_STACK_LABEL)
    return Verdict(found == stack, f"{name} belongs to {f'the stack {found}' if found else 'no stack'}")


def _file_says(inspector: Inspector, **wanted: tuple[str, int]) -> Verdict:
    """Whether the blog's file asks for exactly these services, each with an image and its replicas."""
    text = inspector.file(_FILE)
    if text is None:
        return Verdict(False, f"there is no file {_FILE}")
    try:
        services = yaml.safe_load(text)["services"]
        found = {
            name: (service["image"], (service.get("deploy") or {}).get("replicas", 1))
            for name, service in services.items()
        }
    except (yaml.YAMLError, TypeError, KeyError, AttributeError):
        return Verdict(False, f"{_FILE} is no compose file with an image for each service")
    told = ", ".join(f"{name} ({image}, replicas: {count})" for name, (image, count) in found.items())
    return Verdict(found == wanted, f"{_FILE} asks for {told or 'nothing'}")


def _blog(inspector: Inspector) -> Iterator[Verdict]:
    yield _file_says(inspector, web=("web:1", 2), cache=("redis:7", 1))
    for name, image, count in (("blog_web", "web:1", 2), ("blog_cache", "redis:7", 1)):
        belongs = _of_stack(inspector, name, "blog")
        yield belongs
        if belongs:
            yield inspector.holds(checks.running(name, count, image=image))
    open_ = [
        service.name for service in inspector.snapshot.services if service.ports and "blog_" in service.name
    ]
    yield Verdict(not open_, f"services of blog that publish a port: {', '.join(open_) or 'none'}")


def _grown_blog(inspector: Inspector) -> Iterator[Verdict]:
    yield _file_says(inspector, web=("web:2", 3))
    belongs = _of_stack(inspector, "blog_web", "blog")
    yield belongs
    if belongs:
        yield inspector.holds(checks.running("blog_web", 3, image="web:2"))
        gone = inspector.service("blog_cache") is None
        yield Verdict(gone, "blog_cache is gone" if gone else "blog_cache is still there")


def _what_the_blog_lacks(inspector: Inspector) -> str:
    if inspector.service("blog_web") is None:
        return "There is no stack blog now: docker stack deploy --compose-file /lab/blog.yml blog."
    said = _file_says(inspector, web=("web:2", 3))
    if not said:
        return f"{said.text}. Write the whole file again with cat, or change it with sed."
    if inspector.service("blog_cache"):
        return "cache is no longer in the file. Deploy it with --prune."
    return "The file looks right. Deploy it, and give the update a moment: docker stack ps blog."


def _knows_its_place(inspector: Inspector) -> Iterator[Verdict]:
    belongs = _of_stack(inspector, "blog_web", "blog")
    yield belongs
    if not belongs:
        return
    tasks = inspector.tasks("blog_web")
    runs = inspector.holds(checks.running("blog_web", len(tasks)))
    yield Verdict(bool(tasks and runs), runs.text if tasks else "no task of blog_web is meant to run")
    if not (tasks and runs):
        return
    service = inspector.service("blog_web") or {}
    used = service["Spec"]["TaskTemplate"]["ContainerSpec"].get("Configs") or ()
    names = [
        entry["ConfigName"] for entry in used if (entry.get("File") or {}).get("Name") == "/etc/blog.conf"
    ]
    yield Verdict(bool(names), f"{names[0] if names else 'no config'} is given to blog_web as /etc/blog.conf")
    if not names:
        return
    kind = (((inspector.config(names[0]) or {}).get("Spec") or {}).get("Templating") or {}).get("Name", "")
    yield Verdict(kind == "golang", f"the config {names[0]} is {'a template' if kind else 'no template'}")
    for node in sorted({task.node for task in tasks}):
        for entry in inspector.containers_of("blog_web", node):
            replica = entry["Labels"][_TASK_LABEL].split(".")[1]
            said = inspector.run(node, f"docker exec {entry['Id']} cat /etc/blog.conf").stdout.strip()
            yield Verdict(
                said == f"replica={replica}", f"in blog_web.{replica}, /etc/blog.conf says '{said}'"
            )


def _another_name(inspector: Inspector) -> str:
    service = inspector.service("blog_web") or {"Spec": {"TaskTemplate": {"ContainerSpec": {}}}}
    used = service["Spec"]["TaskTemplate"]["ContainerSpec"].get("Configs") or ()
    if not used:
        return "blog_web uses no config yet. In the file, the service and the end need a key configs each."
    config = inspector.config(used[0]["ConfigName"]) or {"Spec": {}}
    if "Templating" not in config["Spec"]:
        return f"{used[0]['ConfigName']} is no template. Add template_driver: golang, and a new name."
    return (
        f"{used[0]['ConfigName']} is a template. A change of its text needs a new name: name: blog_place_2."
    )


def _rotated(inspector: Inspector) -> Iterator[Verdict]:
    leaked, identity = inspector.file(_LEAKED), inspector.file(_LEAKED_ID)
    if not leaked or not identity:
        yield Verdict(False, f"there is no {_LEAKED}: run the cell that leaks the key first")
        return
    runs = inspector.holds(checks.running("api", 1))
    yield runs
    if runs:
        given = [name for name, file in _secrets_of(inspector, "api") if file == "api_key"]
        yield Verdict(bool(given), f"{given[0] if given else 'no secret'} is given to api as api_key")
        node = next(task.node for task in inspector.tasks("api"))
        container = next((entry["Id"] for entry in inspector.containers_of("api", node)), "none")
        result = inspector.run(node, f"docker exec {container} cat /run/secrets/api_key")
        said = result.stdout.strip()
        if result.exit_code or not said:
            yield Verdict(False, "the task of api finds nothing in /run/secrets/api_key")
        else:
            text = "the key that leaked" if said == leaked else "another key than the one that leaked"
            yield Verdict(said != leaked, f"the task of api finds {text} in /run/secrets/api_key")
    left = [entry["Spec"]["Name"] for entry in inspector.manager.secrets() if entry["ID"] == identity]
    yield Verdict(
        not left, f"the secret that leaked, {left[0]}, is still there" if left else "the old secret is gone"
    )


def _secrets_of(inspector: Inspector, service: str) -> list[tuple[str, str]]:
    """The secrets that a service gives its tasks: each name, and the name of the file they see."""
    found = inspector.service(service)
    used = (found["Spec"]["TaskTemplate"]["ContainerSpec"].get("Secrets") or ()) if found else ()
    return [(entry["SecretName"], entry["File"]["Name"].removeprefix("/run/secrets/")) for entry in used]


def _who_uses_the_key(inspector: Inspector) -> str:
    service = inspector.service("api")
    if service is None:
        return "The service api is gone: create it with --secret source=NEW,target=api_key."
    names = ", ".join(f"{name} as {file}" for name, file in _secrets_of(inspector, "api"))
    return (
        f"api uses {names or 'no secret'} now. Whatever it no longer uses can be removed: docker secret rm."
    )


EXERCISES = (
    Exercise(
        task="Deploy /lab/blog.yml as the stack blog: two replicas of web:1, one of redis:7",
        points=_blog,
        why="an application in one file can be reviewed, kept in Git, and set up again in an emergency",
        hints=(
            "Begin with the line services: and, indented by two spaces, the names web: and cache: below it.",
            "The number of replicas stands below deploy: because only a swarm understands it.",
            lambda inspector: (
                "A service without the name blog_ in front was made by another command, or in another stack: "
                "docker stack ls."
                if inspector.snapshot.services
                else "docker stack deploy --detach --compose-file /lab/blog.yml blog"
            ),
        ),
    ),
    Exercise(
        task="Bring the stack blog to three replicas of web:2, without blog_cache",
        points=_grown_blog,
        why="a service that the file no longer names keeps running, and nobody remembers what it is for",
        hints=(
            "Change the file first: image, replicas, and no cache any more. Then deploy it as before.",
            "docker stack deploy --help: one option is about services that are no longer referenced.",
            _what_the_blog_lacks,
        ),
    ),
    Exercise(
        task="Give every task of blog_web a file /etc/blog.conf that says replica= and its own number",
        points=_knows_its_place,
        why="one template replaces a file for each task, which somebody would have to copy and keep right",
        hints=(
            "The text is replica={{ .Task.Slot }}. Write it to a file with echo and single quotes.",
            "The shop shows both places in a compose file, and that template_driver makes it a template.",
            _another_name,
        ),
    ),
    Exercise(
        task="Rotate the key of api: another one in /run/secrets/api_key, the leaked secret removed",
        points=_rotated,
        why="keys leak; a swarm in which they are easy to change makes that an accident, not a disaster",
        hints=(
            "The order of the database above: create the new one, update the service, remove the old one.",
            "source= is the secret's name in the swarm, target= the file's name in the task.",
            _who_uses_the_key,
        ),
    ),
)
