"""`labkit support`: packs versions, states, and logs into one archive for a bug report, without secrets."""

import argparse
import contextlib
import dataclasses
import importlib.metadata
import io
import json
import os
import platform
import re
import sys
import tarfile
import traceback
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import labkit
from labkit.cli import lab_commands
from labkit.cli import status as lab_status
from labkit.cluster import provision
from labkit.cluster.cluster import Cluster
from labkit.engine import doctor
from labkit.engine.selection import DOCKER, EngineContext
from labkit.images import builder
from labkit.util import packages
from labkit.util.console import ProgressReporter
from labkit.util.errors import LabError, redact
from labkit.util.paths import state_dir
from labkit.util.text import counted

FOLDER = "swarm-lab-support"
PROBLEMS = "problems.txt"
LINES = 5000
"""How much of each log is packed, counted from its end."""

_README = """\
What `labkit support` found out about a Swarm Lab that has a problem.

versions.json, environment.json   labkit, Python, this computer, and the settings that labkit reads
state.json                        which logs labkit keeps
doctor.json, status.json          what `labkit doctor --json` and `labkit status --json` print
docker/, nodes/                   the Docker engines: the one that carries the lab, and the nodes' own
containers.json, swarm.json       the lab's containers, and the swarm as its managers see it
logs/, state/, vm/                the last {lines} lines of each log
problems.txt                      what could not be collected, and why

Tokens, keys, passwords, and credentials in URLs are replaced by "…".
"""

_ENVIRONMENT = re.compile(
    r"LABKIT_\w+|DOCKER_(HOST|CONTEXT|CONFIG|TLS_VERIFY|CERT_PATH|API_VERSION)|(HTTPS?|ALL|NO|FTP)_PROXY",
    re.I,
)
_SECRET_NAME = r"(?:password|passwd|passphrase|secret|token|api[_-]?key)"
_MORE_SECRETS = (
    # whom a URL names: ssh://user@host
    (re.compile(r"(\w://)[^\s/\"'<>]*@"), r"\1…@"),
    # ?token=…, POSTGRES_PASSWORD=…, "secret": "…", also where JSON has escaped the quotes
    (re.compile(rf"({_SECRET_NAME}[\\\"']*\s*[=:]\s*[\\\"']*)[^\s\"'&,;\\]+", re.I), r"\1…"),
    (
        re.compile(r"((?:authorization|registry-auth)[\\\"']*\s*[=:]\s*[\\\"']*)(\w+ +)?[^\s\"',\\]+", re.I),
        r"\1…",
    ),
)


def pack(options: argparse.Namespace) -> int:
    file = options.file or Path(f"{FOLDER}-{datetime.now():%Y%m%d-%H%M%S}.tar.gz")
    cluster = lab_commands.cluster_of(options)
    with ProgressReporter().step("Support archive") as step:
        parts = collect(cluster, step.note)
        _write(file, parts.files)
        step.result = f"{counted(len(parts.files), 'file')}, {file.stat().st_size / 1000:.0f} kB"
    for name, why in parts.problems.items():
        print(f"Not included: {name}: {why.splitlines()[0]}")
    print(f"Wrote {file}; attach it to your bug report.")
    print(f"Secrets that labkit recognizes are removed. To check first:  tar -xzOf {file} | less")
    return 0


class Parts:
    """What has been collected so far: `files` by name, and the reasons why others are missing: `problems`."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.files: dict[str, str] = {"README.txt": _README.format(lines=LINES)}
        self.problems: dict[str, str] = {}
        self._say = say

    def add(self, name: str, look: Callable[[], Any]) -> Any:
        """Add what `look` returns, text or data, under a file's name; nothing when it returns None.

        Whatever it raises becomes the reason why the file is missing: a lab that needs support is broken.
        """
        self._say(name)
        try:
            found = look()
            cleaned = _cleaned(found)
            text = cleaned if isinstance(cleaned, str) else json.dumps(cleaned, indent=2, default=str)
        except Exception as error:  # a lab that needs support is broken; the reason goes into the archive
            why = error.report() if isinstance(error, LabError) else traceback.format_exc()
            if not isinstance(error, LabError):  # the traceback's last line is the one to tell
                why = f"{type(error).__name__}: {error}\n{why}"
            self.problems[name] = without_secrets(why)
            return None
        if found is not None:
            self.files[name] = text
        return found


def collect(cluster: Cluster, say: Callable[[str], None] = lambda _: None) -> Parts:
    """Collect everything about a lab, its engine, and this computer; what isn't there is left out."""
    parts, context = Parts(say), cluster.context
    parts.add("versions.json", _versions)
    parts.add("environment.json", _environment)
    for path in parts.add("state.json", _state) or ():
        parts.add(f"state/{path}", partial(_log, path))
    parts.add("docker/lab.json", lambda: _engine(context))
    parts.add("docker/own.json", lambda: _own_engine(context))
    parts.add("doctor.json", lambda: doctor.as_json(lab_commands.examine(cluster)))
    parts.add("status.json", lambda: lab_status.report(cluster))
    parts.add("vm/console.log", lambda: _console(context))
    for name in parts.add("containers.json", lambda: _containers(cluster)) or ():
        parts.add(f"logs/{name}.log", partial(cluster.logs, name, LINES))
    swarm = parts.add("swarm.json", lambda: dataclasses.asdict(cluster.snapshot()))
    for name in swarm["engines"] if swarm else ():
        parts.add(f"nodes/{name}.json", partial(_node, cluster, name))
    if parts.problems:
        parts.files[PROBLEMS] = "\n".join(f"{name}\n{why}\n" for name, why in parts.problems.items())
    return parts


def without_secrets(text: str) -> str:
    """A text without tokens, keys, passwords, and the user's name in the path of their home folder."""
    text = redact(text)
    for secret, instead in _MORE_SECRETS:
        text = secret.sub(instead, text)
    home = str(Path.home())
    return re.sub(rf"{re.escape(home)}(?![\w.-])", "~", text) if len(home) > 1 else text


def _cleaned(data: Any) -> Any:
    """Data without the secrets in its texts, and without those that only their names give away."""
    if isinstance(data, str):
        return without_secrets(data)
    if isinstance(data, Mapping):
        return {
            _cleaned(key): "…" if isinstance(value, str) and _is_secret(key) else _cleaned(value)
            for key, value in data.items()
        }
    if isinstance(data, list | tuple):
        return [_cleaned(each) for each in data]
    return data


def _is_secret(key: object) -> bool:
    return re.search(rf"{_SECRET_NAME}$", str(key), re.I) is not None


def _versions() -> dict[str, Any]:
    system = ""
    with contextlib.suppress(OSError):  # macOS and Windows have no such file
        system = platform.freedesktop_os_release().get("PRETTY_NAME", "")
    found = sorted({(each.metadata["Name"], each.version) for each in importlib.metadata.distributions()})
    return {
        "labkit": labkit.__version__,
        "folder": str(Path(labkit.__file__).parent),
        "python": sys.version,
        "platform": platform.platform(),
        "system": system,
        "cpus": os.cpu_count(),
        "packages": dict(found),
    }


def _environment() -> dict[str, str]:
    return {name: value for name, value in sorted(os.environ.items()) if _ENVIRONMENT.fullmatch(name)}


def _state() -> list[str]:
    """The logs in labkit's state folder."""
    folder = state_dir()
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.log"))


def _log(path: str) -> str:
    return "\n".join(packages.tail(state_dir() / path, LINES))


def _engine(context: EngineContext) -> dict[str, Any]:
    client = context.client()
    images = [dataclasses.asdict(image) for image in builder.installed(client)]
    return {"version": client.version(), "info": client.info(), "images": images}


def _own_engine(context: EngineContext) -> dict[str, Any] | None:
    """The user's own engine, where another one carries the lab."""
    endpoint = context.own_endpoint()
    try:
        same = context.endpoint() == endpoint
    except LabError:
        same = False
    return None if same else _engine(EngineContext(context.lab, DOCKER))


def _node(cluster: Cluster, name: str) -> dict[str, Any]:
    api = cluster.node(name).api
    return {"version": api.version(), "info": api.info()}


def _console(context: EngineContext) -> str | None:
    machine = context.vm()
    return "\n".join(machine.home.console(LINES)) if machine else None


def _containers(cluster: Cluster) -> dict[str, Any] | None:
    """The states of the lab's nodes and services, by name; None when there are none."""
    client = cluster.context.client()
    entries = {
        **provision.node_entries(client, cluster.name),
        **provision.service_entries(client, cluster.name),
    }
    inspected = {name: client.api.inspect_container(entry["Id"]) for name, entry in entries.items()}
    keys = ("Created", "State", "RestartCount", "Image", "NetworkSettings", "Mounts")
    return {name: {key: all_of[key] for key in keys} for name, all_of in inspected.items()} or None


def _write(file: Path, files: dict[str, str]) -> None:
    part = file.with_name(f"{file.name}.part")
    try:
        part.touch(mode=0o600)
        with tarfile.open(part, "w:gz") as archive:
            for name, text in files.items():
                content = text.encode(errors="replace")
                member = tarfile.TarInfo(f"{FOLDER}/{name}")
                member.size, member.mtime = len(content), int(datetime.now().timestamp())
                archive.addfile(member, io.BytesIO(content))
        part.replace(file)
    except OSError as error:
        raise LabError(
            f"{file} cannot be written", evidence=[str(error)], next_step="name another FILE"
        ) from None
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
