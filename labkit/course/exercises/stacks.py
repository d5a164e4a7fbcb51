"""Chapter 7, ship stacks."""

import re
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
_PROMO, _PROMO_FILE = "promo_web", "/lab/promo.yml"
_DIGEST = re.compile(r"@(sha256:[0-9a-f]{64})$")


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
        return Verdict(False, f"{_FILE} isn't a compose file with an image for each service")
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


def _what_the_file_lacks(inspector: Inspector) -> str:
    text = inspector.file(_FILE) or ""
    if re.search(r"^name:", text, re.MULTILINE):
        return "Remove the line name: from the file. The command names the stack: docker stack deploy … blog"
    if "scale:" in text:
        return "scale: is only known to docker compose. Write deploy: and, indented below it, replicas: 2."
    if "condition:" in text:
        return "Remove the line depends_on: Swarm starts services in no particular order."
    said = _file_says(inspector, web=("web:1", 2), cache=("redis:7", 1))
    if not said:
        return f"{said.text}. It should ask for web (web:1, 2 replicas) and cache (redis:7, 1 replica)."
    return "The file is right. Deploy it: docker stack deploy --compose-file /lab/blog.yml blog"


def _what_the_blog_lacks(inspector: Inspector) -> str:
    if inspector.service("blog_web") is None:
        return "There's no stack blog now: docker stack deploy --compose-file /lab/blog.yml blog"
    said = _file_says(inspector, web=("web:2", 3))
    if not said:
        return f"{said.text}. Write the whole file again with cat, or change it with sed."
    if inspector.service("blog_cache"):
        return "The file no longer names cache. Deploy it with --prune."
    return "The file looks right. Deploy it, and give the update a moment: docker stack ps blog"


def _pinned(inspector: Inspector) -> Iterator[Verdict]:
    belongs = _of_stack(inspector, _PROMO, "promo")
    yield belongs
    text = inspector.file(_PROMO_FILE)
    if text is None:
        yield Verdict(False, f"there is no file {_PROMO_FILE}")
        return
    try:
        image = str(yaml.safe_load(text)["services"]["web"]["image"])
    except (yaml.YAMLError, TypeError, KeyError):
        yield Verdict(False, f"{_PROMO_FILE} doesn't name an image for web")
        return
    wanted = _DIGEST.search(image)
    yield Verdict(bool(wanted), f"{_PROMO_FILE} names {image}{'' if wanted else ', which has no digest'}")
    if not belongs:
        return
    runs = inspector.holds(checks.running(_PROMO, 2))
    yield runs
    if not runs:
        return
    spec = (inspector.service(_PROMO) or {})["Spec"]
    found = _DIGEST.search(spec["TaskTemplate"]["ContainerSpec"]["Image"])
    if wanted:
        same = found is not None and found[1] == wanted[1]
        words = "the digest that the file names" if same else "another digest than the file names"
        yield Verdict(same, f"{_PROMO} was deployed with {words}")
    versions = set()
    for node in sorted({task.node for task in inspector.tasks(_PROMO)}):
        for entry in inspector.containers_of(_PROMO, node):
            said = inspector.run(node, f"docker exec {entry['Id']} sh -c 'echo $VERSION'")
            versions.add(said.stdout.strip())
    told = " and ".join(sorted(versions)) or "unknown"
    yield Verdict(versions == {"1"}, f"the version that the tasks of {_PROMO} run: {told}")


def _which_digest(inspector: Inspector) -> str:
    if inspector.service(_PROMO) is None:
        return f"There's no service {_PROMO} now: docker stack deploy --compose-file {_PROMO_FILE} promo"
    tasks = sorted(inspector.manager.tasks(filters={"service": _PROMO}), key=lambda task: task["CreatedAt"])
    images = dict.fromkeys(task["Spec"]["ContainerSpec"]["Image"] for task in tasks)
    return f"The tasks of {_PROMO} have run these images, the first one first: {', '.join(images)}."


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
    yield Verdict(kind == "golang", f"the config {names[0]} is {'' if kind else 'not '}a template")
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
        return (
            "blog_web uses no config yet. The file needs configs in two places: in web, and at the top level."
        )
    name = used[0]["ConfigName"]
    config = inspector.config(name) or {"Spec": {}}
    if "Templating" not in config["Spec"]:
        return (
            f"{name} isn't a template. Add template_driver: golang and a new name, such as name: replica_2."
        )
    return f"{name} is a template. To change its text, give it a new name, such as name: replica_2."


def _rotated(inspector: Inspector) -> Iterator[Verdict]:
    leaked, identity = inspector.file(_LEAKED), inspector.file(_LEAKED_ID)
    if not leaked or not identity:
        yield Verdict(False, f"there is no file {_LEAKED}: run the cell that leaks the key first")
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
        return "The service api is gone. Create it again with --secret source=NEW,target=api_key."
    names = ", ".join(f"{name} as {file}" for name, file in _secrets_of(inspector, "api"))
    return (
        f"api uses {names or 'no secret'} now. A secret that no service uses can be removed: docker secret rm"
    )


EXERCISES = {
    1: Exercise(
        task="Fix /lab/blog.yml and deploy it as the stack blog: two replicas of web:1, one of redis:7",
        points=_blog,
        why="many files are written for docker compose, which reads a newer format than docker stack deploy",
        hints=(
            "Deploy the file and read the error. It names the key that docker stack deploy can't use.",
            _what_the_file_lacks,
        ),
    ),
    2: Exercise(
        task="Update /lab/blog.yml and deploy it: three replicas of web:2, and no blog_cache",
        points=_grown_blog,
        why="a manual change that isn't in the file disappears with the next deploy, usually at a bad moment",
        hints=(
            "Change the file first: the image, the replicas, and no cache. Then deploy it.",
            "docker stack deploy --help: one option is about services that are no longer referenced.",
            _what_the_blog_lacks,
        ),
    ),
    5: Exercise(
        task="Run the promotion page's earlier image again, and name its digest in /lab/promo.yml",
        points=_pinned,
        why="with a digest in the file, what runs depends on your deploys and not on somebody else's push",
        hints=(
            "docker service inspect promo_web shows the current Spec, and the PreviousSpec that it replaced.",
            "Put the whole earlier image into the file, with @sha256: and all that follows, and deploy it.",
            _which_digest,
        ),
    ),
    3: Exercise(
        task="Give every task of blog_web a file /etc/blog.conf that says replica= and its own number",
        points=_knows_its_place,
        why="one template replaces a file for each task that someone would have to copy and update",
        hints=(
            "The text is replica={{.Task.Slot}}. Write it to a file with echo and single quotes.",
            "The shop's file shows both places for configs. Add template_driver: golang beside file:.",
            _another_name,
        ),
        drill=True,
    ),
    4: Exercise(
        task="Rotate the key of api: another one in /run/secrets/api_key, the leaked secret removed",
        points=_rotated,
        why="keys leak; if you can replace one in a minute, a leak is an incident and not a disaster",
        hints=(
            "As with the database above: create the new one, update the service, remove the old one.",
            "source= is the secret's name in the swarm, and target= the file's name in the container.",
            _who_uses_the_key,
        ),
        drill=True,
    ),
}
