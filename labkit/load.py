"""A small load generator: requests that enter the swarm at published ports of nodes, and who answered."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence

from labkit import engine, outside, traffic
from labkit.deadline import Deadline
from labkit.errors import LabError
from labkit.execution import STDOUT
from labkit.node import Node
from labkit.traffic import Answer

# A line for each request. A curl each, because a connection that is kept always reaches the same task.
_ASK = f"""
port=$1 requests=$2 every=$3 seconds=$4
shift 4
ask() {{
    sent=0
    until [ $sent = $requests ]; do
        sent=$((sent + 1))
        said=$(curl --silent --max-time $seconds --write-out '{traffic.WRITE_OUT}' \
            http://$2:$port/json | tr -c '\\040-\\176' ' ' | tail -c 1000)
        printf '%s %s\\n' $1 "$said"
        sleep $every
    done
}}
exec 3<&0
asking=
for node; do
    ask ${{node%=*}} ${{node#*=}} &
    asking="$asking $!"
done
{{ cat <&3; kill 0; }} &
wait $asking
kill 0
"""


_ROUND = 6  # requests to each node that tell which tasks answer there


class Load:
    """Requests under way: at all `nodes` at once, at each of them one after the other.

    `requests` at each node, or without an end; `every` in seconds lies between two, and each waits `patience`
    seconds for its answer. `service` is the name of the service that publishes `port`, for the names of its
    tasks. `sink` takes each answer as it comes, in a thread of this load. Use it in a `with`, or call `stop`.
    Raises LabNotRunning when the lab does not run.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        port: int,
        *,
        service: str = "web",
        requests: int | None = None,
        every: float = 0.1,
        patience: float = traffic.ANSWER_SECONDS,
        sink: Callable[[Answer], None] | None = None,
    ) -> None:
        if not nodes:
            raise LabError(
                "no node for the requests to enter at", next_step="name one, such as lab.node('manager1')"
            )
        self._service, self._patience, self._sink = service, patience, sink
        self._answers: list[Answer] = []
        self._client = engine.client()
        targets = [f"{node.name}={node.address}" for node in nodes]
        counted = str(requests) if requests is not None else "endless"
        self._process = outside.start(
            self._client, nodes[0].lab, _ASK, str(port), counted, f"{every:g}", f"{patience:g}", *targets
        )
        self._reader = threading.Thread(target=self._read, name="labkit-load", daemon=True)
        self._reader.start()

    @property
    def answers(self) -> list[Answer]:
        """What has come so far, in the order in which it came."""
        return self._answers.copy()

    @property
    def running(self) -> bool:
        return self._reader.is_alive()

    def wait(self) -> list[Answer]:
        """Wait for the last answer; return all. An interrupt stops the load."""
        try:
            self._reader.join()
        finally:
            self.stop()
        return self.answers

    def stop(self) -> list[Answer]:
        """Send no more requests, give up those under way; return the answers. Twice is as good as once."""
        self._process.close()
        if threading.current_thread() is not self._reader:  # a sink may stop its load
            self._reader.join()
        self._client.close()
        return self.answers

    def __enter__(self) -> "Load":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _read(self) -> None:
        rest = b""
        try:
            for data in self._output():
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    said = line.decode(errors="replace")
                    self._take(traffic.parse(said, self._service, self._patience))
        finally:
            self._process.close()  # a sink that fails ends the load

    def _output(self) -> Iterator[bytes]:
        with contextlib.suppress(OSError, ValueError):  # `stop` has closed the connection
            for stream, data in self._process.frames():
                if stream == STDOUT:
                    yield data

    def _take(self, answer: Answer) -> None:
        self._answers.append(answer)
        if self._sink:
            self._sink(answer)


def send(
    nodes: Sequence[Node],
    port: int,
    requests: int = 20,
    *,
    service: str = "web",
    every: float = 0,
    patience: float = traffic.ANSWER_SECONDS,
    settle: float = 0,
) -> list[Answer]:
    """Send `requests` to the published `port` of each node, all nodes at once; return what came back.

    First it tries for up to `settle` seconds until the same tasks answer at every node: nodes hear of a new
    task one after the other. Raises LabNotRunning when the lab does not run. A request without an answer is
    no error but an `Answer`.
    """
    if settle:
        for _ in Deadline(settle).attempts(every=0.5):
            if _agreed(
                Load(nodes, port, service=service, requests=_ROUND, every=0, patience=patience).wait()
            ):
                break
    return Load(nodes, port, service=service, requests=requests, every=every, patience=patience).wait()


def _agreed(answers: Sequence[Answer]) -> bool:
    """Whether every request was answered, and by the same tasks at every node."""
    entered = {answer.entered for answer in answers}
    found = {(answer.entered, answer.answered) for answer in answers}
    tasks = {answer.answered for answer in answers}
    return all(answer.answered for answer in answers) and len(found) == len(entered) * len(tasks)
