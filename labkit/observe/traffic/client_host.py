"""A client outside the swarm: where the lab's own requests to published ports come from.

That's the container of the lab's registry. It's on the nodes' network like any client, so a request really
goes through a node's published port, and a node that is cut off or stopped really can't be reached. It isn't
in the swarm, it keeps running while nodes come and go, and it has curl and nc. A node wouldn't do, because
requests to its own port take another path through the kernel.
"""

from docker.errors import APIError

from labkit.cluster.provision import service_entries
from labkit.engine.selection import EngineContext
from labkit.transport.attach import Execution
from labkit.util.errors import LabNotRunning

_SERVICE = "registry"


def start(context: EngineContext, script: str, *arguments: str) -> Execution:
    """Start a shell script there, attached, with its standard input open.

    A script has to end when its input does, which means that it was stopped, or that its caller is gone. Like
    all execs, it has its own process group, so `kill 0` ends it with all the processes that it has started.
    Raises LabNotRunning if the lab's registry isn't running.
    """
    client = context.client()
    entry = service_entries(client, context.lab).get(_SERVICE)
    try:
        if entry:
            return Execution(client, entry["Id"], ["sh", "-c", script, "labkit", *arguments], stdin=True)
        evidence = []
    except APIError as error:
        if error.status_code not in (404, 409):
            raise
        evidence = [str(error.explanation)]
    raise LabNotRunning(
        f"the {_SERVICE} of lab '{context.lab}' does not run, and requests to the nodes come from there",
        evidence=evidence,
        next_step=context.hint("up"),
    )
