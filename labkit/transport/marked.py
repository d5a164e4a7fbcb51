"""Processes on nodes that can be found again, to report what is still running and to stop it.

A run is marked in its environment, which all its processes inherit, even if they change their process group.
"""

import contextlib
import uuid
from collections.abc import Iterator, Mapping, Sequence

from docker.errors import APIError, DockerException

from labkit.transport.attach import STDOUT, Execution
from labkit.transport.target import Target
from labkit.util.errors import LabError, LabNotRunning

_ASK_SECONDS = 60.0  # in case the node freezes; stopping a run takes up to 7
_BEGIN_SECONDS = 3

_MARK = "LABKIT_RUN"
_LIST = f'grep -lsxz "{_MARK}=$1" /proc/[0-9]*/environ | cut -d/ -f3'
_SHOW = f'found=$({_LIST} | paste -sd,); [ -z "$found" ] || ps -o etime=,args= -p "$found"'
_STOP = f"""
gone() {{
    # Looks again: a process that is just becoming another program has no environment for a moment.
    for _ in 1 2 3; do [ -z "$({_LIST})" ] || return 1; sleep 0.02; done
}}
until=$((SECONDS + ${{2:-0}}))
while [ $SECONDS -lt $until ] && gone $1; do :; done
for signal in INT TERM KILL; do
    ! gone $1 || exit 0
    kill -s $signal $({_LIST}) 2>/dev/null
    for _ in $(seq 20); do ! gone $1 || exit 0; sleep 0.05; done
done"""


def new_mark() -> str:
    """A mark for the processes of one run."""
    return uuid.uuid4().hex


def start(
    node: Target,
    command: Sequence[str],
    mark: str,
    *,
    env: Mapping[str, str] | None = None,
    stdin: bool = False,
    tty: bool = False,
) -> Execution:
    """Start an argument vector on a node; return it attached.

    Raises LabNotRunning if the node isn't running.
    """
    try:
        return Execution(
            node.client, node.container_id, command, env={**(env or {}), _MARK: mark}, stdin=stdin, tty=tty
        )
    except APIError as error:
        status = node.container.status
        if error.status_code not in (404, 409) and status == "running":  # it may have ended in between
            raise
        verb = "unpause" if status == "paused" else "start"
        raise LabNotRunning(
            f"{node.name} does not run: its container is {status}",
            evidence=[str(error.explanation)],
            next_step=f"{node.hint('up')}, or lab.node('{node.name}').{verb}() in Python",
        ) from None


@contextlib.contextmanager
def attached(
    node: Target,
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    stdin: bool = False,
    tty: bool = False,
) -> Iterator[Execution]:
    """Start an argument vector on a node; an exception in the block, such as an interrupt, stops it.

    Raises LabNotRunning if the node isn't running.
    """
    mark, process = new_mark(), None
    try:
        process = start(node, command, mark, env=env, stdin=stdin, tty=tty)
        yield process
    except BaseException:
        stop(node, mark, process)
        raise


def show(node: Target, mark: str) -> str:
    """The processes of a run that are still running on the node, one per line, with their age."""
    return _ask(node, _SHOW, mark)


def stop(node: Target, mark: str, process: Execution | None) -> None:
    """Stop every process of a run on the node: SIGINT, then SIGTERM, then SIGKILL, a second apart.

    `process` is what `start` returned, or None if `start` was interrupted, so the run may still begin.
    """
    _ask(node, _STOP, mark, "0" if process and _has_begun(node, process) else str(_BEGIN_SECONDS))


def _has_begun(node: Target, process: Execution) -> bool:
    """Whether the process has started; engines attach to it a moment before that."""
    with contextlib.suppress(DockerException, OSError, LabError):
        state = node.client.api.exec_inspect(process.id)
        return bool(state["Pid"] or state["ExitCode"] is not None)
    return False


def _ask(node: Target, script: str, *arguments: str) -> str:
    """What a script on the node prints; nothing if the node is down, because then its processes are too."""
    with contextlib.suppress(DockerException, OSError, LabError):
        asked = Execution(node.client, node.container_id, ["bash", "-c", script, "labkit", *arguments])
        try:
            asked.settimeout(_ASK_SECONDS)
            said = b"".join(data for stream, data in asked.frames() if stream == STDOUT)
            return said.decode(errors="replace")
        finally:
            asked.close()
    return ""
