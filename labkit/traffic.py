"""What came back when requests entered the swarm. Pure."""

from dataclasses import dataclass

UNKNOWN = "?"


@dataclass(frozen=True)
class Answer:
    """What became of one request.

    `entered` is the node whose published port it went to. `answered` is the task that answered, such as
    `web.3` (`?` when the service does not tell), empty when none did. `node` is that task's node, empty when
    unknown. `error` says in words why there was no answer.
    """

    entered: str
    answered: str = ""
    node: str = ""
    error: str = ""
