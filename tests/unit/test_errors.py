"""An error's three parts, what is redacted in them, and how IPython shows it."""

from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell

from labkit import errors
from labkit.util.errors import CommandFailed, LabError, NoSuchNode, redact

JOIN = "SWMTKN-1-49nj1cmql0jkz5s954yi3oex3nedyz0fb0xx14ie39trti4wxv-8vxv8rssmk743ojnwacrr2e7c"
UNLOCK = "SWMKEY-1-7c37Cc8654o6p38HnroywCi19pllOnGtbdZEgtKxZu8"
FULL = NoSuchNode("there is no node 'x'", evidence=["its nodes: a", "two\nlines"], next_step="use a")


def test_an_error_tells_what_the_evidence_and_the_next_step() -> None:
    assert (FULL.what, FULL.next_step) == ("there is no node 'x'", "use a")
    assert FULL.evidence == ("its nodes: a", "two", "lines")
    assert str(FULL).splitlines() == [
        "there is no node 'x'",
        "  its nodes: a",
        "  two",
        "  lines",
        "Try: use a",
    ]


def test_parts_that_are_missing_leave_no_empty_lines() -> None:
    assert str(LabError("only this")) == "only this"


def test_the_story_names_the_kind_of_error_first() -> None:
    assert FULL.report() == f"NoSuchNode: {FULL}"


def test_a_failed_command_keeps_its_exit_code() -> None:
    assert CommandFailed("on worker1, `false` exited 7", exit_code=7).exit_code == 7


@pytest.mark.parametrize("secret", [JOIN, UNLOCK])
def test_secrets_are_redacted_in_all_three_parts(secret: str) -> None:
    text = f"--token '{secret}' manager1:2377"
    error = LabError(text, evidence=["harmless", text], next_step=text)
    shown = f"--token '{secret[:6]}-1-…' manager1:2377"
    assert (error.what, error.evidence, error.next_step) == (shown, ("harmless", shown), shown)
    assert secret[9:] not in error.report()
    assert secret[9:] not in repr(error)


def test_every_secret_of_a_text_is_redacted_and_nothing_else() -> None:
    assert redact(f"a {JOIN} b {UNLOCK}, c") == "a SWMTKN-1-… b SWMKEY-1-…, c"
    assert redact("SWMTKN-1-… stays") == "SWMTKN-1-… stays"
    assert redact("a SWMTKN is no token") == "a SWMTKN is no token"
    assert redact("via http://anna:s3cret@proxy:3128/x") == "via http://…@proxy:3128/x"
    assert redact("at ssh://anna@server") == "at ssh://anna@server"
    assert redact("Keys:[[12 7 255] [3]] Local") == "Keys:… Local"
    key = "-----BEGIN EC PRIVATE KEY-----\nMHcC\n-----END EC PRIVATE KEY-----"
    assert redact(key) == "-----BEGIN EC PRIVATE KEY-----…-----END EC PRIVATE KEY-----"


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> InteractiveShell:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    shell = InteractiveShell()
    shell.colors = "nocolor"
    return shell


def test_ipython_shows_the_story_in_place_of_a_traceback(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.user_ns["error"] = FULL
    shell.run_cell("raise error")
    assert capsys.readouterr().out.strip() == FULL.report()


def test_every_kind_of_error_is_a_lab_error_and_says_when_it_is_raised() -> None:
    kinds = [kind for kind in vars(errors).values() if getattr(kind, "__module__", "") == errors.__name__]
    errors_alone = [kind for kind in kinds if isinstance(kind, type)]
    assert NoSuchNode in errors_alone
    for kind in errors_alone:
        assert issubclass(kind, LabError)
        assert kind.__doc__
