"""A client outside the swarm: where the lab's own requests to published ports come from.

That is the container of the lab's registry. It stands on the nodes' network as any client would, so a
request really passes a node's published port, and a node that is cut off or stopped is really out of reach;
it belongs to no swarm and runs on whatever becomes of the nodes; it has curl and nc. A node would not do:
what it sends to its own port takes another way through the kernel.
"""

from docker.errors import APIError

from labkit.cluster.provision import service_entries
from labkit.engine.selection import EngineContext
from labkit.transport.attach import Execution
from labkit.util.errors import LabNotRunning

_SERVICE = "registry"


def start(context: EngineContext, script: str, *arguments: str) -> Execution:
    """Start a shell script there, attached, with the standard input open.

    A script has to end when its input does: then it was stopped, or whoever started it is gone. It leads a
    process group of its own, as all execs do: `kill 0` ends it with all that it has started.
    Raises LabNotRunning when the lab's registry does not run.
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
