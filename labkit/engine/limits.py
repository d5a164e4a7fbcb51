"""Limits of the engine's host that several labs together may reach, and the error message that they share."""

OPEN_FILES = "too many open files"


def explain(said: str) -> list[str]:
    """What to do if `said`, such as a node's log, contains the error that can mean either of two limits.

    The kernel returns EMFILE for both, so the message doesn't show which one: inotify(7), getrlimit(2).
    """
    if OPEN_FILES not in said.lower():
        return []
    return [
        f'"{OPEN_FILES}" is one of two limits:',
        "  inotify instances of a user, on the engine's host: sudo sysctl fs.inotify.max_user_instances=512",
        "  open files of a process on a node: LABKIT_NOFILE, 16384 if it isn't set",
    ]
