"""The reusable action of docs/ci.md, run step by step as GitHub runs it, on a notebook of somebody else's."""

import os
import re
import subprocess
import sys
import tarfile
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import nbformat
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_notebook, new_output

from labkit import Lab
from labkit.util.paths import state_dir
from tests.helpers import leftovers

pytestmark = pytest.mark.engine

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".github" / "actions" / "check-notebooks"
ACTION = yaml.safe_load((FOLDER / "action.yml").read_text())
STATUS = "└ manager1 · exit 0 · 0.2 s\n"
INSTALL_SECONDS = 600


@dataclass
class Job:
    """A job that uses the action: what it is given, where it runs, and what became of each step."""

    workspace: Path
    temp: Path
    inputs: dict[str, str]
    failed: bool = False
    said: str = ""
    ran: list[str] = field(default_factory=list)
    kept: list[Path] = field(default_factory=list)

    def run(self) -> "Job":
        given = {name: self.inputs.get(name, about["default"]) for name, about in ACTION["inputs"].items()}
        assert not set(self.inputs) - set(given)
        self.inputs = given
        for step in ACTION["runs"]["steps"]:
            if self._applies(step.get("if", "success()")):
                self.ran.append(step["name"])
                if "uses" in step:
                    assert step["uses"].startswith("actions/upload-artifact@")
                    self.kept = sorted(Path(self._filled(step["with"]["path"])).iterdir())
                else:
                    self._shell(step)
        return self

    def _applies(self, condition: str) -> bool:
        """Whether a step runs; a condition that is new here has to be taught."""
        if found := re.fullmatch(r"inputs\.([\w-]+) != ''", condition):
            return not self.failed and self.inputs[found[1]] != ""
        return {
            "success()": not self.failed,
            "failure()": self.failed,
            "always()": True,
            "runner.os == 'Linux'": not self.failed,
        }[condition]

    def _filled(self, text: str) -> str:
        values = {"runner.temp": str(self.temp)} | {
            f"inputs.{name}": value for name, value in self.inputs.items()
        }
        return re.sub(r"\$\{\{ ([\w.-]+) \}\}", lambda found: values[found[1]], text)

    def _shell(self, step: dict[str, Any]) -> None:
        """Run a step as GitHub does: `bash --noprofile --norc -eo pipefail` on a file."""
        assert step["shell"] == "bash"
        script = self.temp / "step.sh"
        script.write_text(step["run"])
        # The runner's own settings stay, and nothing of this process's: no lab, no test run, no environment.
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("LABKIT_", "PYTEST_", "COV_", "VIRTUAL_ENV"))
        }
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
            cwd=self.workspace,
            env={
                **inherited,
                "CI": "true",
                "HOME": str(self.temp / "home"),
                "LABKIT_STATE_DIR": str(state_dir()),  # the locks of the tests beside this one
                "GITHUB_ACTION_PATH": str(FOLDER),
                **{name: self._filled(str(value)) for name, value in step.get("env", {}).items()},
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=INSTALL_SECONDS,
        )
        self.said += f"\n== {step['name']}\n{done.stdout}"
        self.failed = self.failed or done.returncode != 0


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This version as a wheel, which is not on PyPI."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    [wheel] = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def temp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runner's folder; the second job finds the environment that the first one has installed there."""
    folder = tmp_path_factory.mktemp("runner")
    (folder / "home").mkdir()
    return folder


@pytest.fixture
def check(package: Path, temp: Path, tmp_path: Path) -> Iterator[Callable[[str], Job]]:
    """Runs the action in a repository with one notebook, whose last cell has the committed output `says`."""
    lab = f"test-ci-{uuid.uuid4().hex[:8]}"

    def run(says: str, **inputs: str) -> Job:
        write(tmp_path / "lessons" / "shop.ipynb", says)
        given = {"package": str(package), "notebooks": "lessons", "lab": lab, "cell-timeout": "120", **inputs}
        return Job(tmp_path, temp, given).run()

    yield run
    left = leftovers(lab)
    Lab(lab).down()
    assert left == []


def write(file: Path, says: str) -> None:
    """The notebook of docs/ci.md."""
    cells = [
        new_code_cell(
            "%load_ext labkit\nfrom labkit import Lab, checks\n\nlab = Lab().up(swarm=True)", outputs=[]
        ),
        new_code_cell(
            "%%on manager1\ndocker service create --detach --name web --replicas 3 web:1", outputs=[]
        ),
        new_code_cell('lab.wait(checks.running("web", 3));', outputs=[]),
        new_code_cell(
            "%%on manager1\ndocker service ls --format '{{.Name}} {{.Replicas}}'",
            outputs=[new_output("stream", name="stdout", text=f"{says}\n{STATUS}")],
            metadata={"tags": ["nbval-check-output"]},
        ),
    ]
    for number, cell in enumerate(cells, 1):
        cell.execution_count = number
    file.parent.mkdir()
    nbformat.write(new_notebook(cells=cells), file)


def test_a_notebook_that_is_true_passes(check: Callable[..., Job]) -> None:
    job = check("web 3/3")
    assert not job.failed, job.said
    assert "4 passed" in job.said
    assert job.ran[-2:] == ["Run the notebooks", "Remove the nodes"]
    assert job.kept == []


def test_a_wrong_committed_output_fails_and_leaves_what_explains_it(check: Callable[..., Job]) -> None:
    job = check("web 2/2")
    assert job.failed
    assert "1 failed, 3 passed" in job.said, job.said
    assert "web 2/2" in job.said and "web 3/3" in job.said
    assert job.ran[-3:] == ["Collect what a failure takes to explain", "Keep it", "Remove the nodes"]
    report, archive = job.kept
    [wrong] = [
        case for case in ElementTree.parse(report).iter("testcase") if case.find("failure") is not None
    ]
    assert wrong.attrib["name"] == "Cell 3"
    with tarfile.open(archive) as packed:
        assert [name for name in packed.getnames() if "manager1" in name]  # the lab was still there


def test_a_folder_without_notebooks_fails(check: Callable[..., Job]) -> None:
    """A typing error in the name of the folder must not look like success."""
    job = check("web 3/3", notebooks="lesons", swarm="false")
    assert job.failed
    assert "lesons" in job.said
