"""The workflows on GitHub: well formed, safe, and true about this repository."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.engines.outer import OUTERS

ROOT = Path(__file__).parents[2]
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
ACTION = GITHUB / "actions" / "check-notebooks" / "action.yml"
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = SETTINGS["project"]
MARKERS = {line.partition(":")[0] for line in SETTINGS["tool"]["pytest"]["ini_options"]["markers"]}
PINNED = re.compile(r"uses: (?P<action>[\w./-]+)@(?P<commit>[0-9a-f]{40}) # (?P<version>v\d+\.\d+\.\d+)$")
PATHS = re.compile(r"tests/[\w./-]+")
MARKED = re.compile(r'(?:lab test|-m pytest) [^\n]*?-m (?:"([^"]+)"|(\w+))')


def load(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")))


def jobs() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in WORKFLOWS:
        for name, job in load(path)["jobs"].items():
            yield f"{path.stem}.{name}", job


def steps() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, job in jobs():
        for number, step in enumerate(job.get("steps", ())):
            yield f"{name}.{number}", step
    for number, step in enumerate(load(ACTION)["runs"]["steps"]):
        yield f"action.{number}", step


SCRIPTS = {name: step["run"] for name, step in steps() if "run" in step}


def audit(folder: Path) -> "subprocess.CompletedProcess[str]":
    """What zizmor, a linter of workflows for security, says about a folder; it asks no network."""
    zizmor = Path(sys.executable).parent / "zizmor"
    return subprocess.run(
        [str(zizmor), "--offline", "--no-progress", "--color", "never", str(folder)],
        capture_output=True,
        text=True,
        timeout=60,
    )


def conforms(kind: str, *files: Path) -> "subprocess.CompletedProcess[str]":
    """Whether files follow GitHub's schema of `kind`, which check-jsonschema brings along."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{kind}"]
    return subprocess.run([*command, *map(str, files)], capture_output=True, text=True, timeout=60)


# -- the linters, and that they can fail ----------------------------------------------------------------


def test_there_are_workflows() -> None:
    assert [path.name for path in WORKFLOWS] == ["ci.yml", "docs.yml", "nightly.yml", "release.yml"]
    assert ACTION.is_file()


def test_the_linter_has_nothing_to_say() -> None:
    done = audit(GITHUB)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "release.yml" in done.stderr  # it has read them


def test_the_linter_notices_an_action_that_is_not_pinned(tmp_path: Path) -> None:
    copy = tmp_path / ".github"
    shutil.copytree(GITHUB, copy)
    release = copy / "workflows" / "release.yml"
    release.write_text(re.sub(r"(gh-action-pypi-publish)@\w+ # v\S+", r"\1@release/v1", release.read_text()))
    done = audit(copy)
    assert done.returncode != 0
    assert "unpinned-uses" in done.stdout


@pytest.mark.parametrize(
    ("kind", "files"),
    [
        ("github-workflows", WORKFLOWS),
        ("github-actions", [ACTION]),
        ("dependabot", [GITHUB / "dependabot.yml"]),
    ],
    ids=["workflows", "action", "dependabot"],
)
def test_files_follow_githubs_schema(kind: str, files: list[Path]) -> None:
    done = conforms(kind, *files)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_schema_notices_a_misspelled_key(tmp_path: Path) -> None:
    wrong = tmp_path / "ci.yml"
    wrong.write_text(WORKFLOWS[0].read_text().replace("timeout-minutes:", "timeout-minute:"))
    done = conforms("github-workflows", wrong)
    assert done.returncode == 1
    assert "timeout-minute" in done.stdout


# -- our own rules --------------------------------------------------------------------------------------


def test_every_action_is_pinned_to_a_commit_and_says_its_version() -> None:
    used: dict[str, set[tuple[str, str]]] = {}
    for path in [*WORKFLOWS, ACTION]:
        for line in path.read_text().splitlines():
            if "uses: " in line and "uses: ./" not in line:
                found = PINNED.search(line)
                assert found, f"{path.name}: {line.strip()}"
                used.setdefault(found["action"], set()).add((found["commit"], found["version"]))
    assert used
    assert not {action: pins for action, pins in used.items() if len(pins) > 1}


@pytest.mark.parametrize(("name", "job"), list(jobs()), ids=[name for name, _ in jobs()])
def test_every_job_ends_by_itself(name: str, job: dict[str, Any]) -> None:
    """A called workflow's jobs have their own limits."""
    assert 5 <= job.get("timeout-minutes", 0) <= 180 or job["uses"].startswith("./"), name


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_only_read_and_does_not_run_twice_at_once(path: Path) -> None:
    workflow = load(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]["group"]


def test_only_the_publishing_jobs_may_do_more() -> None:
    more = {name: job["permissions"] for name, job in jobs() if "permissions" in job}
    assert more == {
        "docs.publish": {"id-token": "write", "pages": "write"},
        "release.pypi": {"id-token": "write"},
        "release.images": {"contents": "read", "packages": "write"},
    }


def test_what_can_publish_runs_nothing_of_ours() -> None:
    """A job with an identity takes what another one has built; a script in it could use the identity."""
    pages = load(GITHUB / "workflows" / "docs.yml")["jobs"]["publish"]
    assert [step["uses"].partition("@")[0] for step in pages["steps"]] == ["actions/deploy-pages"]
    publish = load(GITHUB / "workflows" / "release.yml")["jobs"]["pypi"]
    assert publish["environment"]["name"] == "pypi"
    assert publish["environment"]["url"] == f"https://pypi.org/p/{PROJECT['name']}"
    assert [step["uses"].partition("@")[0] for step in publish["steps"]] == [
        "actions/download-artifact",
        "pypa/gh-action-pypi-publish",
    ]


def test_a_release_needs_the_tests() -> None:
    release = load(GITHUB / "workflows" / "release.yml")["jobs"]
    assert release["test"]["uses"] == "./.github/workflows/ci.yml"
    assert release["pypi"]["needs"] == "distributions"
    assert release["distributions"]["needs"] == release["images"]["needs"] == "test"


def test_what_is_uploaded_from_a_hidden_folder_is_uploaded() -> None:
    """upload-artifact leaves out hidden files otherwise (its README, since v4.4)."""
    uploads = [step["with"] for _, step in steps() if "upload-artifact" in step.get("uses", "")]
    assert [upload for upload in uploads if upload["path"] == ".artifacts"]
    for upload in uploads:
        assert upload.get("include-hidden-files", False) == upload["path"].startswith("."), upload


@pytest.mark.parametrize(("name", "script"), SCRIPTS.items(), ids=SCRIPTS)
def test_scripts_are_shell_and_name_what_exists(name: str, script: str) -> None:
    # Expressions in scripts are how people inject commands; values come by the environment.
    assert "${{" not in script
    done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, f"{name}: {done.stderr}"
    assert not [path for path in PATHS.findall(script) if not (ROOT / path).exists()], name
    assert set(re.findall(r"--outer (\S+)", script)) <= set(OUTERS), name
    words = {word for found in MARKED.findall(script) for word in re.findall(r"\w+", "".join(found))}
    assert words - {"and", "not", "or"} <= MARKERS, name


def test_the_modules_script_is_one() -> None:
    script = GITHUB / "load-modules"
    assert script.stat().st_mode & 0o111 == 0o111
    assert subprocess.run(["sh", "-n", str(script)], timeout=30).returncode == 0


def test_every_supported_python_is_tested() -> None:
    matrix = load(GITHUB / "workflows" / "ci.yml")["jobs"]["unit"]["strategy"]["matrix"]
    oldest = PROJECT["requires-python"].removeprefix(">=")
    assert matrix["python"][0] == oldest
    listed = [
        text.rpartition(" ")[2]
        for text in PROJECT["classifiers"]
        if re.fullmatch(r"Programming Language :: Python :: 3\.\d+", text)
    ]
    assert listed == matrix["python"]


def test_a_release_leads_back_to_the_repository(tmp_path: Path) -> None:
    for name in ("README.md", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    command = [sys.executable, str(GITHUB / "prepare_distribution.py"), "me/lab", "v9.9.9"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=30)
    links = set(re.findall(r"\]\(([^)\s]+)\)", (tmp_path / "README.md").read_text()))
    assert not [link for link in links if not link.startswith(("https://", "#"))]
    assert "https://github.com/me/lab/blob/v9.9.9/docs/architecture.md" in links
    assert "https://github.com/me/lab/raw/v9.9.9/docs/jupyterlab-light.png" in links
    project = tomllib.loads((tmp_path / "pyproject.toml").read_text())["project"]
    assert project["urls"]["Source"] == "https://github.com/me/lab"
    assert {name: value for name, value in project.items() if name != "urls"} == PROJECT


def step(name: str, labkit: Path | str, **env: str) -> "subprocess.CompletedProcess[str]":
    """Run a step of the reusable action with something else in place of labkit."""
    [script] = [
        step["run"] for _, step in steps() if step.get("name") == name and "LABKIT" in step.get("env", ())
    ]
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        env={**os.environ, "LABKIT": str(labkit), **env},
        capture_output=True,
        text=True,
        timeout=30,
    )


def test_images_that_cannot_be_pulled_are_no_failure() -> None:
    done = step("Pull its images", "false", IMAGES="ghcr.io/nobody/nothing")
    assert done.returncode == 0
    assert done.stdout.startswith("::warning::")


@pytest.mark.parametrize(("swarm", "words"), [("true", "up --swarm\n"), ("false", "up\n")])
def test_the_nodes_start_with_or_without_a_swarm(swarm: str, words: str) -> None:
    assert step("Start the nodes", "echo", SWARM=swarm).stdout == words


@pytest.mark.parametrize("name", ["Collect what a failure takes to explain", "Remove the nodes"])
def test_what_was_not_installed_is_not_called(name: str, tmp_path: Path) -> None:
    """The log of a failed installation ends with the reason, and not with a missing file."""
    done = step(name, tmp_path / "labkit", REPORTS=str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_reusable_action_installs_the_test_extra() -> None:
    """By name, because its input `package` may be a path, which an extra cannot be added to."""
    wanted = {name for name in PROJECT["optional-dependencies"]["test"] if not name.startswith("requests")}
    install = next(script for script in SCRIPTS.values() if "uv" in script and "PACKAGE" in script)
    assert wanted == set(re.findall(r"'([\w-]+>=[^']+)'", install))
