"""How to name a labkit command to the user: as they call it, with the lab that they work on."""

import os
import shlex

DEFAULT_LAB = "swarm-lab"


def command(*words: str, lab: str = DEFAULT_LAB) -> str:
    """`labkit WORDS`, pasteable: `./lab WORDS` for those who came through that script."""
    at = words.index("--") if "--" in words else len(words)
    flag = () if lab == DEFAULT_LAB else ("--lab", lab)
    return shlex.join([os.environ.get("LABKIT_COMMAND", "labkit"), *words[:at], *flag, *words[at:]])
