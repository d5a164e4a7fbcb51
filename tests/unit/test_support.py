"""`labkit support` without an engine: what's in the archive, what's missing and why, what's never in it."""

import json
import tarfile
from pathlib import Path

import pytest

from labkit.cli import main, support
from labkit.cluster.cluster import Cluster

TOKEN = "SWMTKN-1-3pu6hszjas19xyp7ghgosyx9k8atbfcr8p2is99znpy26u2lkl-1awxwuwd3z9j1z3puu7rcgdbx"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder with a log in it, on a computer where no engine answers."""
    folder = tmp_path / "state"
    monkeypatch.setenv("LABKIT_STATE_DIR", str(folder))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nowhere.sock")
    monkeypatch.delenv("LABKIT_LAB", raising=False)
    monkeypatch.delenv("LABKIT_ENGINE", raising=False)
    (folder / "engine").mkdir(parents=True)
    (folder / "engine/dockerd.log").write_text(f"joined with {TOKEN}\nAPI listen on /var/run/docker.sock\n")
    return folder


def packed(file: Path) -> dict[str, str]:
    """The files in an archive by name, without their folder."""
    with tarfile.open(file) as archive:
        found = {member.name: archive.extractfile(member) for member in archive.getmembers()}
        assert all(name.startswith(f"{support.FOLDER}/") for name in found)
        return {name.partition("/")[2]: content.read().decode() for name, content in found.items() if content}


def test_without_an_engine_there_is_an_archive_that_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "report.tar.gz"
    assert main.main(["support", str(file)]) == 0
    files = packed(file)
    assert json.loads(files["versions.json"])["packages"]["docker"]
    assert json.loads(files["environment.json"])["DOCKER_HOST"].endswith("nowhere.sock")
    assert json.loads(files["doctor.json"])["ready"] is False
    assert "status.json\nEngineNotFound: no Docker engine answered\n" in files[support.PROBLEMS]
    assert "status.json" not in files
    out, err = capsys.readouterr()
    assert "Not included: status.json: EngineNotFound: no Docker engine answered\n" in out
    assert f"Wrote {file}; attach it to your bug report.\n" in out
    assert "Traceback" not in out + err
    assert file.stat().st_mode & 0o077 == 0
    assert not list(tmp_path.glob("*.part"))


def test_it_has_a_name_of_its_own_when_none_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main.main(["support"]) == 0
    [file] = tmp_path.glob("swarm-lab-support-*.tar.gz")
    assert "README.txt" in packed(file)


def test_logs_in_the_state_folder_come_without_join_tokens(tmp_path: Path) -> None:
    file = tmp_path / "report.tar.gz"
    assert main.main(["support", str(file)]) == 0
    files = packed(file)
    assert files["state/engine/dockerd.log"] == "joined with SWMTKN-1-…\nAPI listen on /var/run/docker.sock"
    assert not [name for name, text in files.items() if TOKEN in text]


def test_a_part_with_a_bug_is_missing_and_its_traceback_is_in_the_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: Cluster) -> None:
        raise ZeroDivisionError(f"with {TOKEN}")

    monkeypatch.setattr(support.lab_status, "report", fail)
    file = tmp_path / "report.tar.gz"
    assert main.main(["support", str(file)]) == 0
    problems = packed(file)[support.PROBLEMS]
    assert "status.json\nZeroDivisionError: with SWMTKN-1-…\nTraceback" in problems
    assert TOKEN not in problems
    out, _ = capsys.readouterr()
    assert "Not included: status.json: ZeroDivisionError: with SWMTKN-1-…\n" in out
    assert "Traceback" not in out


def test_a_file_that_cannot_be_written_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["support", str(tmp_path / "nowhere/report.tar.gz")]) == 1
    assert "report.tar.gz cannot be written\n" in capsys.readouterr().err


SECRETS = {
    "HTTP_PROXY=http://me:hunter2@proxy:3128": "HTTP_PROXY=http://…@proxy:3128",
    "http://me:p@hunter2@proxy/path": "http://…@proxy/path",
    "http://127.0.0.1:8888/lab?token=hunter2&x=1": "http://127.0.0.1:8888/lab?token=…&x=1",
    '"Password": "hunter2", "x": 1': '"Password": "…", "x": 1',
    r"{\"identity_token\": \"hunter2\"}": r"{\"identity_token\": \"…\"}",
    "POSTGRES_PASSWORD=hunter2 x": "POSTGRES_PASSWORD=… x",
    "Authorization: Bearer hunter2": "Authorization: …",
    "X-Registry-Auth: hunter2": "X-Registry-Auth: …",
    "-----BEGIN EC PRIVATE KEY-----\nhunter2\n-----END EC PRIVATE KEY-----": (
        "-----BEGIN EC PRIVATE KEY-----…-----END EC PRIVATE KEY-----"
    ),
    "-----BEGIN PRIVATE KEY-----\nhunter2": "-----BEGIN PRIVATE KEY-----…",
    "config:&{BindPort:0 Keys:[[222 157] [66 23 91]] PacketBufferSize:1400": (
        "config:&{BindPort:0 Keys:… PacketBufferSize:1400"
    ),
    TOKEN: "SWMTKN-1-…",
    "SWMKEY-1-hunter2+/=": "SWMKEY-1-…",
}


@pytest.mark.parametrize("text", SECRETS)
def test_secrets_are_replaced(text: str) -> None:
    assert support.without_secrets(text) == SECRETS[text]
    assert support.without_secrets(SECRETS[text]) == SECRETS[text]


def test_secrets_in_data_are_replaced_and_it_stays_data() -> None:
    data = {
        "Password": "hunter2",
        "JoinTokens": {"Worker": TOKEN},
        "Env": [f"JOIN={TOKEN}", "DB_PASSWORD=hunter2"],
        "InitToken": None,
        "Tokens": 2,
        "proxies": ({"https": "https://me:hunter2@proxy"},),
    }
    parts = support.Parts(lambda _: None)
    parts.add("data.json", lambda: data)
    assert parts.problems == {}
    assert json.loads(parts.files["data.json"]) == {
        "Password": "…",
        "JoinTokens": {"Worker": "SWMTKN-1-…"},
        "Env": ["JOIN=SWMTKN-1-…", "DB_PASSWORD=…"],
        "InitToken": None,
        "Tokens": 2,
        "proxies": [{"https": "https://…@proxy"}],
    }


@pytest.mark.parametrize(
    "text",
    [
        "tcp://10.0.0.1:2375",
        "mail a@b.example",
        "a join token is necessary",
        "https://docs.docker.com/engine/",
    ],
)
def test_the_rest_stays_readable(text: str) -> None:
    assert support.without_secrets(text) == text


def test_the_users_name_is_not_in_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    assert support.without_secrets("/home/ann/x /home/anna/x /home/ann") == "~/x /home/anna/x ~"
