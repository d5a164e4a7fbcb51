"""The one folder where labkit keeps what has to outlive a process: logs, pid files, progress."""

import os
from pathlib import Path

from platformdirs import user_state_path


def state_dir() -> Path:
    """Return labkit's state folder and create it on demand.

    `LABKIT_STATE_DIR` names another one; else it is the platform's own place for such data
    (on Linux `~/.local/state/labkit`).
    """
    chosen = os.environ.get("LABKIT_STATE_DIR")
    folder = Path(chosen) if chosen else user_state_path("labkit")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
