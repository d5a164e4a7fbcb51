"""Scripts on nodes that change what the swarm may change in the same moment."""

from dataclasses import replace
from typing import TYPE_CHECKING

from labkit.running import DEFAULT_TIMEOUT, failure

if TYPE_CHECKING:
    from labkit.node import Node

# A person repeats what is refused so. `docker service update` and its like read an object and write it whole;
# after a write of the swarm's own in between, the manager refuses it (ErrSequenceConflict in moby/swarmkit:
# manager/state/store/memory.go). A stack's network cannot be removed while a task of it still ends, and is
# listed for a moment after it is gone, so that the next stack of this name relies on it.
# Descriptor 3 takes output as it comes.
_DOCKER = """\
docker() {
    local code said
    while :; do
        code=0
        { said=$(command docker "$@" 2>&1 >&3) || code=$?; } 3>&1
        [ $code != 0 ] || break
        case $said in
            *"update out of sequence"* | *"is in use by task"*) ;;
            *"failed to create service"*"network"*"not found"*) ;;
            *) break ;;
        esac
    done
    [ -z "$said" ] || printf '%s\\n' "$said" >&2
    return $code
}
"""


def patient(script: str) -> str:
    """The shell script, with each of its `docker` commands repeated when the swarm was quicker."""
    return _DOCKER + script


def run(node: "Node", script: str, timeout: float = DEFAULT_TIMEOUT) -> None:
    """Run a script so, quietly. `timeout` in seconds. Raises as `Node.run` does."""
    result = node.run(patient(script), quiet=True, check=False, timeout=timeout)
    if result.exit_code:
        raise failure(replace(result, command=script))
