"""The built wheel, installed in an environment of its own: `labkit start` in an empty folder."""

import json
import os
import signal
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from labkit import Lab
from labkit.images import builder
from tests.helpers import leftovers, wait_for_line

pytestmark = [pytest.mark.engine, pytest.mark.alone]

ROOT = Path(__file__).parents[2]
CHAPTERS = sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))
URL = r"(http://127\.0\.0\.1:\d+/)lab\?token=([\w-]{40,})"
LOOK = """
import json, labkit
from labkit.images import builder, engines
from labkit.topology import topology
names = [engines.name_of(image) for image in topology.load().images]
print(json.dumps([labkit.__file__, {name: builder.content_tag(name) for name in names}]))
"""


def run(*command: str, **options: object) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder), cwd=ROOT)
    [built] = folder.glob("*.whl")
    return built


@dataclass
class Installed:
    """An environment with the wheel in it."""

    folder: Path

    @property
    def python(self) -> str:
        return str(self.folder / "bin/python")

    @property
    def labkit(self) -> str:
        return str(self.folder / "bin/labkit")


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel in a new environment, which borrows the wheel's dependencies from this one: no download."""
    made = Installed(tmp_path_factory.mktemp("venv"))
    run(sys.executable, "-m", "venv", "--without-pip", str(made.folder))
    run(
        sys.executable, "-m", "pip", "--python", made.python, "install", "--no-deps", "--no-index", str(wheel)
    )
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(made.folder)}))
    (packages / "borrowed.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    for folder in ("etc/jupyter", "share/jupyter"):  # JupyterLab's own pages, and which of its servers run
        (made.folder / folder).parent.mkdir(exist_ok=True)
        if (source := Path(sys.prefix) / folder).exists():
            (made.folder / folder).symlink_to(source)
    return made


def test_the_wheel_has_all_that_a_checkout_has(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    tracked = run(
        "git", "ls-files", "--cached", "--others", "--exclude-standard", "labkit", cwd=ROOT
    ).splitlines()
    assert {name for name in tracked if (ROOT / name).exists()} <= names
    assert {"labkit/py.typed", "labkit/docker-compose.dind.yml"} <= names
    assert {f"labkit/notebooks/{name}" for name in CHAPTERS} <= names
    assert not [name for name in names if not name.startswith(("labkit/", "docker_swarm_lab-"))]


def test_its_images_are_the_checkouts_to_the_executable_bit(installed: Installed, tmp_path: Path) -> None:
    """A tag is a hash of the sources, so nothing is built a second time either."""
    file, tags = json.loads(run(installed.python, "-c", LOOK, cwd=tmp_path))
    assert Path(file).is_relative_to(installed.folder)
    assert set(tags) >= {"node", "bank"}
    assert tags == {name: builder.content_tag(name) for name in tags}
    script = Path(file).parent / "images/sources/node/entrypoint"
    assert os.access(script, os.X_OK)


@pytest.fixture
def start(
    installed: Installed, new_lab: Callable[[], Lab], tmp_path: Path
) -> Iterator[Callable[[], "tuple[Lab, subprocess.Popen[str]]"]]:
    """Runs `labkit start` of the wheel in an empty folder, on a lab of its own."""
    lab = new_lab()
    here = tmp_path / "course"
    here.mkdir()
    processes: list[subprocess.Popen[str]] = []

    def spawn() -> tuple[Lab, "subprocess.Popen[str]"]:
        processes.append(
            subprocess.Popen(
                [installed.labkit, "start", "--no-browser", "--lab", lab.name],
                cwd=here,
                env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": str(tmp_path), **_engine()},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
        return lab, processes[-1]

    yield spawn
    for process in processes:
        process.kill()
        process.communicate()


def _engine() -> dict[str, str]:
    """How to reach the engine; the rest of this environment is none of the wheel's business."""
    return {name: value for name, value in os.environ.items() if name.startswith("DOCKER_")}


def test_start_copies_the_notebooks_into_an_empty_folder_and_serves_them(
    installed: Installed, start: Callable[[], "tuple[Lab, subprocess.Popen[str]]"], tmp_path: Path
) -> None:
    here = tmp_path / "course"
    lab, process = start()
    assert wait_for_line(process, rf"Copied {len(CHAPTERS)} notebooks to {here}\.", 90)
    base, token = wait_for_line(process, URL).groups()
    contents = requests.get(f"{base}api/contents", params={"token": token}, timeout=30).json()["content"]
    assert sorted(entry["name"] for entry in contents if entry["type"] == "notebook") == CHAPTERS
    assert requests.get(f"{base}lab", params={"token": token}, timeout=30).status_code == 200
    assert _interrupted(process) == 0

    first, second = (here / name for name in CHAPTERS[:2])
    first.write_text("my own notes")
    second.unlink()
    _, process = start()
    wait_for_line(process, URL)
    assert first.read_text() == "my own notes"
    assert second.read_bytes() == (ROOT / "notebooks" / second.name).read_bytes()
    assert _interrupted(process) == 0
    assert lab.node("manager1").container.status == "running"

    run(installed.labkit, "down", "--lab", lab.name, cwd=here)
    assert leftovers(lab.name) == []


def _interrupted(process: "subprocess.Popen[str]") -> int:
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    return process.returncode
