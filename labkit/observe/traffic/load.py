"""A small load generator: sends requests to published ports of nodes, and notes which tasks answered."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence

from labkit.cluster.node import Node
from labkit.observe.traffic import answers, client_host
from labkit.observe.traffic.answers import Answer
from labkit.transport.attach import STDOUT
from labkit.util.errors import LabError
from labkit.util.text import counted

# Prints one line per request. Each has its own curl: a reused connection always reaches the same task.
_ASK = f"""
port=$1 requests=$2 every=$3 seconds=$4
shift 4
ask() {{
    sent=0
    until [ $sent = $requests ]; do
        sent=$((sent + 1))
        said=$(curl --silent --max-time $seconds --write-out '{answers.WRITE_OUT}' \
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


_SILENT_SECONDS = 30.0
_COMPLAINTS = 1000  # bytes
_ROUND = 6  # requests to each node to find out which tasks answer there


class Load:
    """Running requests: to all `nodes` at once, one after the other to each.

    Each node gets `requests`, or an endless series, at intervals of `every` seconds, and each request waits
    `patience` seconds for an answer. `service` is the name of the service that publishes `port`, and names
    its tasks. `sink` takes each answer as it arrives, in a thread of this load. Use a `with` block, or call
    `stop`. Raises LabNotRunning if the lab isn't running.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        port: int,
        *,
        service: str = "web",
        requests: int | None = None,
        every: float = 0.1,
        patience: float = answers.ANSWER_SECONDS,
        sink: Callable[[Answer], None] | None = None,
    ) -> None:
        if not nodes:
            raise LabError(
                "no node was given to send the requests to",
                next_step="name one, such as lab.node('manager1')",
            )
        self._service, self._patience, self._sink = service, patience, sink
        self._answers: list[Answer] = []
        self._expected = None if requests is None else requests * len(nodes)
        self._complaints = b""  # the load generator's error messages
        self._stopped = False
        self._failure: Exception | None = None
        targets = [f"{node.name}={node.address}" for node in nodes]
        limit = str(requests) if requests is not None else "endless"
        self._hint = f"{nodes[0].hint('up')}, then send them again"
        self._process = client_host.start(
            nodes[0].context, _ASK, str(port), limit, f"{every:g}", f"{patience:g}", *targets
        )
        # If neither an answer nor an error arrives within that time, the client is gone.
        self._process.settimeout(nodes[0].deadline(patience + every + _SILENT_SECONDS).seconds)
        self._reader = threading.Thread(target=self._read, name="labkit-load", daemon=True)
        self._reader.start()

    @property
    def answers(self) -> list[Answer]:
        """The answers so far, in the order of their arrival."""
        return self._answers.copy()

    @property
    def running(self) -> bool:
        return self._reader.is_alive()

    def wait(self) -> list[Answer]:
        """Wait for the last answer; return all of them. An interrupt stops the load.

        Raises what the sink raised, and LabError if the load ended before all answers had arrived.
        """
        try:
            self._reader.join()
        finally:
            self.stop()
        if self._failure:
            raise self._failure
        return self.answers

    def stop(self) -> list[Answer]:
        """Send no more requests, and drop the current ones; return the answers. Idempotent."""
        self._stopped = True
        self._process.close()
        if threading.current_thread() is not self._reader:  # a sink may stop its load
            self._reader.join()
        return self.answers

    def __enter__(self) -> "Load":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.stop()
        if self._failure and not kind:
            raise self._failure

    def _read(self) -> None:
        """Take the answers as they arrive; keep an error for `wait`."""
        rest = b""
        try:
            for data in self._output():
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    self._take(line.decode(errors="replace"))
            if not self._stopped and len(self._answers) != self._expected:
                self._failure = self._broken(f"ended after {counted(len(self._answers), 'answer')}")
        except Exception as error:  # of the sink, for example
            self._failure = error
        finally:
            self._process.close()

    def _output(self) -> Iterator[bytes]:
        with contextlib.suppress(OSError, ValueError):  # `stop` has closed the connection, or it broke
            for stream, data in self._process.frames():
                if stream == STDOUT:
                    yield data
                else:
                    self._complaints = (self._complaints + data)[-_COMPLAINTS:]

    def _take(self, line: str) -> None:
        try:
            answer = answers.parse(line, self._service, self._patience)
        except ValueError as error:
            raise self._broken(f"failed: {error}") from None
        self._answers.append(answer)
        if self._sink:
            self._sink(answer)

    def _broken(self, what: str) -> LabError:
        return LabError(
            f"the client that sends the requests {what}",
            evidence=[self._complaints.decode(errors="replace")],
            next_step=self._hint,
        )


def send(
    nodes: Sequence[Node],
    port: int,
    requests: int = 20,
    *,
    service: str = "web",
    every: float = 0,
    patience: float = answers.ANSWER_SECONDS,
    settle: float = 0,
) -> list[Answer]:
    """Send `requests` to the published `port` of each node, all nodes at once; return the answers.

    First wait for up to `settle` seconds until the same tasks answer at every node, because nodes learn about
    a new task one after the other. Raises LabNotRunning if the lab isn't running. A request that gets no
    response isn't an error; it's an `Answer` too.
    """
    if settle:
        for _ in nodes[0].deadline(settle).attempts(every=0.5):
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
