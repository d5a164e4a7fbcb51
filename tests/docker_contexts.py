"""Docker contexts, as `docker context create` and `docker context use` leave them."""

import json
from pathlib import Path

from docker.context.config import get_context_id


def make_context(config: Path, name: str, url: str, *, current: bool = True) -> None:
    """Make a context in the folder that DOCKER_CONFIG names."""
    meta = config / "contexts/meta" / get_context_id(name)
    meta.mkdir(parents=True)
    endpoints = {"docker": {"Host": url, "SkipTLSVerify": False}}
    (meta / "meta.json").write_text(json.dumps({"Name": name, "Metadata": {}, "Endpoints": endpoints}))
    (config / "config.json").write_text(json.dumps({"currentContext": name} if current else {}))
