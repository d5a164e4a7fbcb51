"""Serves the course in JupyterLab: on loopback, behind a random token, on the next free port."""

import os
import secrets
import sys
from pathlib import Path

from labkit import hint
from labkit.errors import LabError, PortTaken

# No news pop-up over the notebook's corner, and outputs that scrolling does not lose.
SETTINGS = Path(__file__).parent / "jupyter_settings"
NOTEBOOKS = Path(__file__).parent.parent / "notebooks"


def serve(lab: str, *, port: int, browser: bool) -> int:
    """Run JupyterLab in this process until Ctrl-C or SIGTERM, with `lab` as the notebooks' lab.

    Prints the URL; opens a browser only where there is a display. Raises PortTaken.
    """
    if not NOTEBOOKS.is_dir():
        raise LabError(
            "the course's notebooks are not here",
            evidence=[f"looked in {NOTEBOOKS}"],
            next_step="start from a checkout of the project: ./lab start",
        )
    # Kernels and JupyterLab's terminals inherit these: there the command is `labkit`, wherever one stands.
    os.environ["LABKIT_LAB"] = lab
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    command = os.environ.pop("LABKIT_COMMAND", None)

    from jupyterlab.labapp import LabApp  # takes a second, which only this command pays

    settings = {
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": port,
        "ServerApp.root_dir": NOTEBOOKS,
        "ServerApp.allow_root": True,
        "ServerApp.answer_yes": True,  # Ctrl-C means stop, without a question
        "ServerApp.open_browser": browser and _has_display(),
        "IdentityProvider.token": secrets.token_urlsafe(32),
        "LabApp.app_settings_dir": SETTINGS,
        "KernelManager.transport_encryption": "auto",  # others on this machine see no output, no token
        "Application.log_level": "ERROR",
    }
    try:
        server = LabApp.initialize_server(argv=[f"--{name}={value}" for name, value in settings.items()])
    except SystemExit:
        raise PortTaken(
            f"JupyterLab found no free port from {port} on",
            next_step=hint.command("start", "--port", "9000", lab=lab),
        ) from None
    url = f"{server.connection_url}lab?token={settings['IdentityProvider.token']}"

    def announce() -> None:
        print(f"\nSwarm Lab is open in JupyterLab:\n\n    {url}\n")
        print("Ctrl-C stops JupyterLab. The nodes go on running.", flush=True)

    server.io_loop.add_callback(announce)  # once it listens, and no sooner
    server.start()
    if command:
        os.environ["LABKIT_COMMAND"] = command
    print(f"\nJupyterLab has stopped. The nodes of lab '{lab}' still run; to stop them:")
    print(f"    {hint.command('down', lab=lab)}")
    return 0


def _has_display() -> bool:
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
