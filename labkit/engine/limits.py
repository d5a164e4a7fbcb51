"""Limits of the engine's host that several labs may reach together, and the one error that they share."""

OPEN_FILES = "too many open files"


def explain(said: str) -> list[str]:
    """What to do if `said`, such as a node's log, has the error that stands for either of two limits.

    The kernel answers EMFILE for both, so the words don't tell which: inotify(7), getrlimit(2).
    """
    if OPEN_FILES not in said.lower():
        return []
    return [
        f'"{OPEN_FILES}" is one of two limits:',
        "  inotify instances of a user, on the engine's host: sudo sysctl fs.inotify.max_user_instances=512",
        "  open files of a process on a node: LABKIT_NOFILE, 16384 if it isn't set",
    ]
