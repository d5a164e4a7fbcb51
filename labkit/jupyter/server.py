"""Serves the course in JupyterLab: on loopback, behind a random token, on the next free port."""

import os
import secrets
import sys
from pathlib import Path

from labkit.cluster import provision
from labkit.engine.selection import ERRORS, EngineContext
from labkit.jupyter import launcher, page
from labkit.jupyter.notebooks import provide
from labkit.topology import topology
from labkit.util import command_hint, lock
from labkit.util.errors import LabError, PortTaken


def serve(context: EngineContext, *, port: int, browser: bool, notebooks: Path | None = None) -> None:
    """Run JupyterLab in this process until Ctrl-C or SIGTERM, with the notebooks on `context`'s lab.

    Serves the folder `notebooks`, by default what `notebooks.provide` chooses. Prints the URL; opens a
    browser only where there is a display. Raises PortTaken.
    """
    lab, folder = context.lab, provide(notebooks)
    nodes = [node.name for node in topology.load().nodes]
    # Kernels and JupyterLab's terminals inherit these: there the command is `labkit`, wherever one stands.
    os.environ[command_hint.LAB_VARIABLE] = lab
    if context.kind:
        os.environ[command_hint.ENGINE_VARIABLE] = context.kind
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    command = os.environ.pop("LABKIT_COMMAND", None)

    from jupyterlab.labapp import LabApp  # takes a second, which only this command pays

    settings = {
        **page.settings(lab, folder, nodes),
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": port,
        "ServerApp.answer_yes": True,  # Ctrl-C means stop, without a question
        "ServerApp.open_browser": browser and _has_display(),
        "IdentityProvider.token": secrets.token_urlsafe(32),
        "KernelManager.transport_encryption": "auto",  # others on this machine see no output, no token
        "Application.log_level": "ERROR",
    }
    try:
        with lock.hold("jupyterlab"):  # it looks for a free port, then takes it: another one may, in between
            server = LabApp.initialize_server(argv=page.as_arguments(settings))
    except SystemExit:
        raise PortTaken(
            f"JupyterLab found no free port from {port} on",
            next_step=context.hint("start", "--port", "9000"),
        ) from None
    launcher.install(server.web_app, folder, nodes)
    url = f"{server.connection_url}lab?token={settings['IdentityProvider.token']}"

    def announce() -> None:
        print(f"\nSwarm Lab is open in JupyterLab:\n\n    {url}\n")
        print("Ctrl-C stops JupyterLab. The nodes go on running.", flush=True)

    server.io_loop.add_callback(announce)  # once it listens, and no sooner
    server.start()
    if command:
        os.environ["LABKIT_COMMAND"] = command
    print("\nJupyterLab has stopped.")


def say_goodbye(context: EngineContext) -> None:
    """Say how to stop what still runs after JupyterLab has stopped."""
    try:
        runs = bool(provision.containers(context.client(), context.lab))
    except (LabError, *ERRORS):  # the engine has stopped too
        runs = False
    if runs:
        print(f"The nodes of lab '{context.lab}' still run; to stop them:")
        print(f"    {context.hint('down')}")


def _has_display() -> bool:
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
