"""Scripts on nodes, with Docker commands retried where the swarm was in the middle of something."""

from dataclasses import replace

from labkit.cluster.node import Node
from labkit.transport.commands import DEFAULT_TIMEOUT, failure

# What a person would simply try again. `docker service update` and its like read an object and write it back
# whole; when the swarm itself wrote it in between, the manager refuses (ErrSequenceConflict in moby/swarmkit:
# manager/state/store/memory.go). A stack's network cannot be removed while one of its tasks is stopping, and
# is listed for a moment after it is gone, so the next stack of that name relies on it.
# The pauses grow from 0.1 to 0.9 s, some 30 s in all. Descriptor 3 passes standard output on as it comes.
_DOCKER = """\
docker() {
    local code said tries=0
    while :; do
        code=0 tries=$((tries + 1))
        { said=$(command docker "$@" 2>&1 >&3) || code=$?; } 3>&1
        [ $code != 0 ] && [ $tries -lt 40 ] || break
        case $said in
            *"update out of sequence"* | *"is in use by task"*) ;;
            *"failed to create service"*"network"*"not found"*) ;;
            *) break ;;
        esac
        sleep 0.$((tries < 9 ? tries : 9))
    done
    [ -z "$said" ] || printf '%s\\n' "$said" >&2
    return $code
}
"""


def with_retries(script: str) -> str:
    """The shell script, with each of its `docker` commands retried while the swarm is in its way.

    After 40 tries the last answer counts.
    """
    return _DOCKER + script


def run(node: Node, script: str, timeout: float = DEFAULT_TIMEOUT) -> None:
    """Run a script with retries, quietly. `timeout` in seconds. Raises as `Node.run` does."""
    result = node.run(with_retries(script), quiet=True, check=False, timeout=timeout)
    if result.exit_code:
        raise failure(replace(result, command=script))
