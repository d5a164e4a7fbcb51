"""The swarm's published ports: links that the learner's browser can follow, and requests to them."""

from html import escape

import ipywidgets

from labkit import plots
from labkit.cluster import features
from labkit.cluster.cluster import Cluster
from labkit.observe.traffic.answers import ANSWER_SECONDS, Answer
from labkit.observe.traffic.load import Load
from labkit.observe.traffic.port_forward import PortForward, PortForwards
from labkit.swarm.model import Port, Snapshot
from labkit.transport.commands import CancelToken, Sink
from labkit.util.errors import CommandInterrupted, LabError
from labkit.widgets.panel import Panel, on_click
from labkit.widgets.runner import Work


class Ports(Panel):
    """Links to every published port by way of each node, and a button that sends requests to one.

    The links live as long as a page shows the widget.
    """

    offers = "links to every published port on each node, and a button that sends requests"

    def __init__(self, lab: Cluster, *, requests: int = 20) -> None:
        self._forwards: dict[tuple[str, int], PortForward] = {}
        self._links = ipywidgets.HTML()
        self.port = ipywidgets.Dropdown(description="port")
        self.requests = ipywidgets.BoundedIntText(
            requests, min=1, max=500, description="to each node", style={"description_width": "initial"}
        )
        self.button = on_click(
            ipywidgets.Button(description="Send requests", icon="paper-plane", button_style="primary"),
            self._ask,
        )
        row = ipywidgets.HBox([self.port, self.requests, self.button], layout={"flex_flow": "row wrap"})
        super().__init__(lab, "Published ports", [self._links, row])

    def run(self, service: str, *, requests: int = 20) -> list[Answer]:
        """Send requests to a service's published port, so many to each node; return what came back.

        A request without an answer is no error. Raises LabError when the service publishes no TCP port.
        """
        ports = published(self.lab.snapshot())
        found = next((port for name, port in ports if name == service), None)
        if found is None:
            raise LabError(
                f"service {service} publishes no TCP port",
                evidence=[f"{name} publishes {port.published}" for name, port in ports],
                next_step="publish one: docker service update --publish-add published=8080,target=80 "
                + service,
            )
        return self.run_work(self._sending(service, found, requests))

    def url(self, node: str, port: Port) -> str:
        """Where the learner's browser finds a node's published port, until no page shows this widget."""
        key = node, port.published
        known = self._forwards.get(key)
        if known and not known.closed:
            return known.url
        used = self._forwards[key] = self.lab.shared(PortForwards).use(self.lab.node(node), port.published)
        self.until_hidden(lambda: self._release(key, used))
        return used.url

    def reflect(self, snapshot: Snapshot) -> None:
        ports = published(snapshot)
        options = [(f"{service}: {port.published}", (service, port)) for service, port in ports]
        if tuple(options) != tuple(self.port.options):
            chosen, known = self.port.value, [value for _, value in options]
            self.port.options = options
            self.port.value = chosen if chosen in known else next(iter(known), None)
        self.enable(bool(options))
        if self._view_count:
            self._links.value = "".join(self._row(snapshot, *published) for published in ports)

    def report(self, snapshot: Snapshot) -> str:
        return "" if published(snapshot) else "No service publishes a TCP port yet."

    def _ask(self) -> None:
        service, port = self.port.value
        self.start_work(self._sending(service, port, self.requests.value))

    def _row(self, snapshot: Snapshot, service: str, port: Port) -> str:
        links = [
            f'<a href="{escape(self.url(name, port))}" target="_blank" rel="noopener" class="labkit-button">'
            f"{escape(name)}:{port.published}</a>"
            for name in snapshot.engines
            if port.mode != "host" or _runs_on(snapshot, service, name)
        ]
        way = "on each task's own node" if port.mode == "host" else "routing mesh"
        return f'<div class="labkit-links">{escape(service)} <i>({way})</i> {" ".join(links)}</div>'

    def _release(self, key: tuple[str, int], used: PortForward) -> None:
        if self._forwards.get(key) is used:  # else a new one took the place of one that was closed
            del self._forwards[key]
        self.lab.shared(PortForwards).release(used)

    def _sending(self, service: str, port: Port, requests: int) -> Work[list[Answer]]:
        def work(sink: Sink, token: CancelToken) -> list[Answer]:
            nodes = list(self.lab.nodes.values())
            addresses = " ".join(node.address for node in nodes)
            self.runner.announce("outside the swarm", _command(addresses, port, requests))

            def say(answer: Answer) -> None:
                sink(answer.entered, "stdout", f"{answer.entered} → {_said(answer)}\n")

            with Load(nodes, port.published, service=service, requests=requests, every=0, sink=say) as load:
                token.on_cancel(load.stop)
                answers = load.wait()
            if token.cancelled:
                raise CommandInterrupted("stopped; no more requests are sent")
            self.runner.show(plots.mesh(answers))
            if port.mode == "ingress" and any(answer.error for answer in answers):
                sink("", "stdout", _why_unanswered(self.lab))
            return answers

        return work


def published(snapshot: Snapshot) -> list[tuple[str, Port]]:
    """The services' published TCP ports."""
    return [
        (service.name, port)
        for service in snapshot.services
        for port in service.ports
        if port.protocol == "tcp"
    ]


def _runs_on(snapshot: Snapshot, service: str, node: str) -> bool:
    return any((task.service, task.node, task.state) == (service, node, "running") for task in snapshot.tasks)


def _command(addresses: str, port: Port, requests: int) -> str:
    return (
        f"for i in $(seq {requests}); do for node in {addresses}; do "
        f"curl --silent --max-time {ANSWER_SECONDS} http://$node:{port.published}/; done; done"
    )


def _said(answer: Answer) -> str:
    if answer.error:
        return answer.error
    return f"{answer.answered} answered" + (f", on {answer.node}" if answer.node else "")


def _why_unanswered(lab: Cluster) -> str:
    """The kernel's part in missing answers of the routing mesh, by name; empty when it is complete."""
    probe = features.probe(lab, "mesh")
    if probe.ok:
        return ""
    return (
        "\nThe routing mesh needs ip_vs, and the kernel of the engine's machine does not have it: "
        f"{probe.found}.\nTry: {probe.advice}\n"
    )
