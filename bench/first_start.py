"""Times a first start: a copy of the project without .venv, on an engine that has none of the lab's images.

    DOCKER_HOST=unix:///…/docker.sock .venv/bin/python bench/first_start.py

Removing the images takes them away from every lab, so use an engine of its own, such as a second dockerd
with an empty --data-root. What pip, uv, and labkit keep goes to folders of the run's own. Packages come from
the mirrors, whose speed is part of the result.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from labkit.engine.selection import EngineContext
from labkit.images import builder

ROOT = Path(__file__).parent.parent
LAB = "bench-first-start"
SECONDS = 900

MILESTONES = {
    "Python packages installed": r"^The nodes and their images are being prepared",
    "JupyterLab open": r"is open in JupyterLab",
    "images for chapter 00": r"✓ Missing images ",
    "nodes ready": r"✓ Nodes and services",
    "all images": r"✓ Image labkit/bank",
}


def copy(folder: Path) -> None:
    """Copy the project as it stands, without what git ignores."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(listing, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    here = b"\0".join(name for name in listed.split(b"\0") if (ROOT / os.fsdecode(name)).is_file())
    pack = ["tar", "--null", "--files-from=-", "-cf", "-"]
    packed = subprocess.run(pack, cwd=ROOT, input=here, stdout=subprocess.PIPE, check=True).stdout
    subprocess.run(["tar", "-xf", "-"], cwd=folder, input=packed, check=True)


def main() -> None:
    present = builder.installed(EngineContext(LAB, "docker").own_client())
    if present:
        sys.exit(f"this engine has {len(present)} of the lab's images; give DOCKER_HOST of one without any")
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        project = folder / "project"
        project.mkdir()
        copy(project)
        own = {"UV_CACHE_DIR": "uv", "PIP_CACHE_DIR": "pip", "LABKIT_STATE_DIR": "state"}
        env = {**os.environ, **{variable: str(folder / place) for variable, place in own.items()}}
        seconds = follow([str(project / "lab"), "start", "--no-browser", "--lab", LAB], env)
        subprocess.run(
            [project / "lab", "down", "--lab", LAB], env=env, check=True, stdout=subprocess.DEVNULL
        )
    print(f"{'load of the computer before':<28} {load:5.1f} on {os.cpu_count()} cores")
    for milestone, when in seconds.items():
        print(f"{milestone:<28} {when:5.0f} s")
    print(f"JupyterLab open / all images: {seconds['JupyterLab open'] / seconds['all images']:.2f}")


def follow(command: list[str], env: dict[str, str]) -> dict[str, float]:
    """Run the command until it has passed every milestone; return when it did."""
    started, seconds, said = time.monotonic(), dict[str, float](), list[str]()
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        for line in process.stdout or ():
            said.append(line)
            for milestone, pattern in MILESTONES.items():
                if milestone not in seconds and re.search(pattern, line):
                    seconds[milestone] = time.monotonic() - started
            if len(seconds) == len(MILESTONES) or time.monotonic() - started > SECONDS:
                break
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate()
    if len(seconds) < len(MILESTONES):
        sys.exit(f"not seen: {', '.join(MILESTONES.keys() - seconds)}\n{''.join(said)}")
    return seconds


if __name__ == "__main__":
    main()
