"""Formats labkit commands for the user to paste: as they call it, with their lab and engine."""

import os
import shlex

DEFAULT_LAB = "swarm-lab"
LAB_VARIABLE = "LABKIT_LAB"
ENGINE_VARIABLE = "LABKIT_ENGINE"
ENGINE_KINDS = ("docker", "vm", "vm-direct")
DEFAULT_WORKSHOP = "workshop"
_STARTING = ("up", "start")


def default_lab() -> str:
    """The lab to use if none is named: `LABKIT_LAB`, otherwise `swarm-lab`."""
    return os.environ.get(LAB_VARIABLE) or DEFAULT_LAB


def command(*words: str, lab: str = DEFAULT_LAB, engine: str = "") -> str:
    """`labkit WORDS`, ready to paste, or `./lab WORDS` for users of that script.

    `engine` is the kind of engine that a start has to name; it defaults to `LABKIT_ENGINE`.
    """
    at = words.index("--") if "--" in words else len(words)
    flag: tuple[str, ...] = () if lab == DEFAULT_LAB else ("--lab", lab)
    if words[0] in _STARTING and (kind := engine or os.environ.get(ENGINE_VARIABLE)):
        flag += ("--engine", kind)
    return shlex.join([os.environ.get("LABKIT_COMMAND", "labkit"), *words[:at], *flag, *words[at:]])
