"""How to name a labkit command to the user: as they call it, with the lab and engine that they work on."""

import os
import shlex

DEFAULT_LAB = "swarm-lab"
LAB_VARIABLE = "LABKIT_LAB"
ENGINE_VARIABLE = "LABKIT_ENGINE"
ENGINE_KINDS = ("docker", "vm", "vm-direct")
_STARTING = ("up", "start")


def current_lab() -> str:
    """The lab that a command is for which names none."""
    return os.environ.get(LAB_VARIABLE) or DEFAULT_LAB


def command(*words: str, lab: str = DEFAULT_LAB, engine: str = "") -> str:
    """`labkit WORDS`, pasteable: `./lab WORDS` for those who came through that script.

    `engine` is the kind that a start is to name where the user has chosen none.
    """
    at = words.index("--") if "--" in words else len(words)
    flag: tuple[str, ...] = () if lab == DEFAULT_LAB else ("--lab", lab)
    if words[0] in _STARTING and (chosen := os.environ.get(ENGINE_VARIABLE) or engine):
        flag += ("--engine", chosen)
    return shlex.join([os.environ.get("LABKIT_COMMAND", "labkit"), *words[:at], *flag, *words[at:]])
