"""The one folder where labkit keeps what has to outlive a process: logs, pid files, progress."""

import os
from pathlib import Path

from platformdirs import user_state_path

from labkit.errors import SetupFailed


def state_dir() -> Path:
    """Return labkit's state folder and create it on demand.

    `LABKIT_STATE_DIR` names another one; else it is the platform's own place for such data
    (on Linux `~/.local/state/labkit`). Raises SetupFailed when it cannot be made.
    """
    chosen = os.environ.get("LABKIT_STATE_DIR")
    folder = Path(chosen) if chosen else user_state_path("labkit")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SetupFailed(
            f"labkit cannot make its state folder {folder}",
            evidence=[str(error)],
            next_step="choose another one: export LABKIT_STATE_DIR=FOLDER",
        ) from None
    return folder
