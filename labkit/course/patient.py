"""Scripts on nodes that change what the swarm may change in the same moment."""

from dataclasses import replace
from typing import TYPE_CHECKING

from labkit.running import DEFAULT_TIMEOUT, failure

if TYPE_CHECKING:
    from labkit.node import Node

# `docker service update` and its like read an object, then write it whole. A write of the swarm's own in
# between, such as an update's state, makes the manager refuse that (ErrSequenceConflict in moby/swarmkit:
# manager/state/store/memory.go), and a person repeats the command. Descriptor 3 takes output as it comes.
_DOCKER = """\
docker() {
    local code said
    while :; do
        code=0
        { said=$(command docker "$@" 2>&1 >&3) || code=$?; } 3>&1
        case $code:$said in
            [1-9]*"update out of sequence"*) ;;
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
