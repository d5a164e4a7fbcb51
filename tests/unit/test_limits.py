"""What is said about limits of the engine's host."""

import pytest

from labkit.engine.limits import explain


@pytest.mark.parametrize(
    "said",
    [
        # Recorded from nodes: an engine with 16 open files, and GNU tail where inotify_init is refused.
        "failed to start daemon: iptables failed: (fork/exec /usr/sbin/iptables: too many open files)",
        "tail: inotify cannot be used, reverting to polling: Too many open files",
    ],
)
def test_the_error_of_two_limits_names_both(said: str) -> None:
    told = "\n".join(explain(f"log of worker1:\n  {said}"))
    assert "fs.inotify.max_user_instances=512" in told
    assert "LABKIT_NOFILE" in told


def test_other_errors_are_left_alone() -> None:
    assert explain("no space left on device") == []
