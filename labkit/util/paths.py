"""The folder for state that outlives a labkit process, such as logs, pid files, and locks."""

import os
from pathlib import Path

from platformdirs import user_state_path

from labkit.util.errors import SetupFailed


def state_dir() -> Path:
    """Return labkit's state folder; create it on demand.

    It's `LABKIT_STATE_DIR`, or the platform's standard location for such data (on Linux
    `~/.local/state/labkit`). Raises SetupFailed if it can't be created.
    """
    chosen = os.environ.get("LABKIT_STATE_DIR")
    folder = Path(chosen) if chosen else user_state_path("labkit")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SetupFailed(
            f"labkit cannot create its state folder {folder}",
            evidence=[str(error)],
            next_step="choose another folder: export LABKIT_STATE_DIR=FOLDER",
        ) from None
    return folder
