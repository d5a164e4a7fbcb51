"""A workshop's own containers: the front with its one open port, the hub, the proxy, and the class page."""

import json
from typing import Any

import docker
from docker.errors import APIError

from labkit.engine.routes import bridge_name, engine_routes
from labkit.engine.selection import EngineContext
from labkit.util.deadline import Deadline
from labkit.util.errors import EngineUnsuitable, NotConverged
from labkit.workshop import containers, labels, networks
from labkit.workshop.containers import Part
from labkit.workshop.hub import settings as hub
from labkit.workshop.hub.settings import HubSettings
from labkit.workshop.settings import Workshop

TOKENS = ("proxy", "house", "class")
_READY_SECONDS = 60.0
_BARE = {"cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"], "pids_limit": 512}
_CERTIFICATE, _KEY = "/etc/workshop/certificate.pem", "/etc/workshop/key.pem"
_HUB_URL = f"http://127.0.0.1:{hub.HUB_PORT}"


def open_port(client: docker.DockerClient, workshop: Workshop, image: str) -> str:
    """Start the front, which has the workshop's one open port, and return its id.

    It owns the network, as a pod's pause container does, so that any other part can be replaced without
    closing the port. Raises EngineUnsuitable if the port is taken.
    """
    _create_network(client.api, workshop.name)
    try:
        front, new = containers.ensure(client, _front(workshop, image))
    except APIError as error:
        raise _port_taken(workshop, error) from None
    if new:  # the others share the network of the front that is gone
        for name in (labels.HUB, labels.PROXY, labels.CLASS):
            for entry in labels.containers(client.api, workshop.name, name):
                containers.remove(client.api, entry["Id"])
    for network in labels.networks(client.api, workshop.name, labels.PLACE):
        networks.connect(client.api, front, network["Name"])
    return front


def start(
    client: docker.DockerClient, workshop: Workshop, image: str, settings: HubSettings, front: str
) -> None:
    """Start what is missing or outdated behind the front. The places run on meanwhile."""
    for name in (labels.HUB, labels.CLASS):
        client.api.create_volume(f"{workshop.name}_{name}", labels=labels.of(workshop.name, name))
    for part in (
        _hub(workshop, image, settings, front),
        _proxy(workshop, image, front),
        _class(workshop, image, front),
    ):
        containers.ensure(client, part)


def wait_ready(client: docker.DockerClient, workshop: Workshop) -> None:
    """Return when the hub answers through the proxy. Raises NotConverged with the hub's last lines."""
    probe = ["curl", "-fsk", "-o", "/dev/null", f"https://127.0.0.1:{hub.PROXY_PORT}/hub/health"]
    front = labels.container(client.api, workshop.name, labels.FRONT)
    for _ in Deadline(_READY_SECONDS).attempts(0.3):
        if front and client.containers.get(front["Id"]).exec_run(probe)[0] == 0:
            return
    entry = labels.container(client.api, workshop.name, labels.HUB)
    said = client.api.logs(entry["Id"], tail=10).decode(errors="replace") if entry else "it isn't there"
    raise NotConverged(
        f"the hub did not answer within {_READY_SECONDS:.0f} s",
        evidence=[said],
        next_step="run the command again",
    )


def write_people(client: docker.DockerClient, workshop: Workshop) -> None:
    """Tell the hub and the class page who there is, without a restart."""
    for part, files in ((labels.HUB, _hub_files(workshop)), (labels.CLASS, _class_files(workshop))):
        if entry := labels.container(client.api, workshop.name, part):
            containers.write(client.api, entry["Id"], files)


def hub_settings(workshop: Workshop, image: str, avoid: list[str], at_once: int) -> HubSettings:
    """What the hub of a workshop has to know."""
    return HubSettings(
        workshop=workshop.name,
        image=image,
        public_url=workshop.url,
        instructors=[each.login for each in workshop.instructors],
        seats=workshop.seats,
        open=workshop.open,
        memory=workshop.memory,
        cpus=workshop.cpus,
        processes=workshop.processes,
        at_once=at_once,
        pools=workshop.pools,
        avoid=avoid,
        internet=workshop.internet,
        idle_hours=workshop.idle_hours,
        runtime=workshop.runtime,
    )


def routes_to_avoid(context: EngineContext, client: docker.DockerClient) -> list[str]:
    """Subnets that this computer's routes lead to, as far as they can be seen, but for its own bridges'."""
    entries = client.api.networks()
    bridges = {bridge_name(entry) for entry in entries}
    routes = engine_routes(context.own_endpoint(), entries) or []
    return sorted({str(route.subnet) for route in routes if route.interface not in bridges})


def _create_network(api: docker.APIClient, workshop: str) -> None:
    if not labels.networks(api, workshop, labels.FRONT):
        api.create_network(
            f"{workshop}-front",
            driver="bridge",
            check_duplicate=True,
            labels=labels.of(workshop, labels.FRONT),
        )


def _front(workshop: Workshop, image: str) -> Part:
    """The container that only holds the network. It doesn't forward: a place could use it as its router."""
    return Part(
        workshop.name,
        labels.FRONT,
        image,
        ["sleep", "infinity"],
        host={
            **_BARE,
            "network_mode": f"{workshop.name}-front",
            "port_bindings": {f"{hub.PROXY_PORT}/tcp": workshop.port},
            "sysctls": {"net.ipv4.ip_forward": "0", "net.ipv4.conf.all.rp_filter": "1"},
            "restart_policy": {"Name": "unless-stopped"},
            "mem_limit": "256m",
        },
        any_image=True,  # another version of labkit is no reason to close the port
    )


def _hub(workshop: Workshop, image: str, settings: HubSettings, front: str) -> Part:
    environment = {
        "CONFIGPROXY_AUTH_TOKEN": workshop.token("proxy"),
        hub.HOUSE_TOKEN: workshop.token("house"),
        hub.CLASS_TOKEN: workshop.token("class"),
    }
    if workshop.open:
        environment |= {hub.OPEN_CODE: workshop.open_code, hub.INSTRUCTOR_CODE: workshop.instructor_code}
    return Part(
        workshop.name,
        labels.HUB,
        image,
        ["python", "-m", "labkit.workshop.hub"],
        environment,
        {
            **_shared(front),
            "binds": [f"{workshop.name}_hub:{hub.FOLDER}", "/var/run/docker.sock:/var/run/docker.sock"],
            "mem_limit": "1g",
        },
        files={f"{hub.FOLDER}/{hub.SETTINGS}": settings.to_json()},
        lively=_hub_files(workshop),
    )


def _proxy(workshop: Workshop, image: str, front: str) -> Part:
    command = ["configurable-http-proxy", "--ip", "0.0.0.0", "--port", str(hub.PROXY_PORT)]
    command += ["--api-ip", "127.0.0.1", "--api-port", "8001"]
    command += ["--ssl-cert", _CERTIFICATE, "--ssl-key", _KEY]
    command += ["--default-target", _HUB_URL, "--error-target", f"{_HUB_URL}/hub/error"]
    return Part(
        workshop.name,
        labels.PROXY,
        image,
        command,
        {"CONFIGPROXY_AUTH_TOKEN": workshop.token("proxy")},
        {**_shared(front), "mem_limit": "512m"},
        files={_CERTIFICATE: workshop.certificate, _KEY: workshop.key},
        user="nobody",
    )


def _class(workshop: Workshop, image: str, front: str) -> Part:
    environment = {
        "JUPYTERHUB_SERVICE_NAME": "class",
        "JUPYTERHUB_API_TOKEN": workshop.token("class"),
        "JUPYTERHUB_API_URL": f"{_HUB_URL}/hub/api",
        "JUPYTERHUB_BASE_URL": "/",
        "JUPYTERHUB_SERVICE_PREFIX": f"{hub.CLASS_PREFIX}/",
        "JUPYTERHUB_SERVICE_URL": f"http://0.0.0.0:{hub.CLASS_PORT}",
        "JUPYTERHUB_PUBLIC_URL": workshop.url,
        "JUPYTERHUB_CLIENT_ID": "service-class",
        "JUPYTERHUB_OAUTH_SCOPES": json.dumps(["access:services!service=class"]),
        "LABKIT_CLASS_INSTRUCTORS": hub.INSTRUCTORS,
        "LABKIT_WORKSHOP": workshop.name,
    }
    return Part(
        workshop.name,
        labels.CLASS,
        image,
        ["python", "-m", "labkit.workshop.classroom.service"],
        environment,
        {**_shared(front), "binds": [f"{workshop.name}_class:/srv/class"], "mem_limit": "512m"},
        lively=_class_files(workshop),
    )


def _shared(front: str) -> dict[str, Any]:
    """What the parts behind the front have in common: its network, no powers, and another try if they end."""
    return {
        **_BARE,
        "network_mode": f"container:{front}",
        "restart_policy": {"Name": "on-failure", "MaximumRetryCount": 10},
    }


def _hub_files(workshop: Workshop) -> dict[str, str]:
    return {f"{hub.FOLDER}/{hub.CODES}": hub.codes_to_json(workshop.codes)}


def _class_files(workshop: Workshop) -> dict[str, str]:
    people = [{"login": each.login, "name": each.name, "role": each.role} for each in workshop.people]
    return {"/srv/class/people.json": json.dumps(people, indent=1, ensure_ascii=False)}


def _port_taken(workshop: Workshop, error: APIError) -> Exception:
    said = str(error.explanation)
    if not any(words in said for words in ("already allocated", "already in use", "permission denied")):
        return error
    return EngineUnsuitable(
        f"port {workshop.port} isn't free on the engine's host",
        evidence=[said],
        next_step="choose another one with --port, such as 8443",
    )
