"""Chapter 1, create a swarm."""

import re
from collections.abc import Iterator

from labkit.course.grading import Exercise
from labkit.course.inspector import Inspector
from labkit.swarm import checks
from labkit.swarm.checks import Verdict


def saved_worker_token(inspector: Inspector) -> Iterator[Verdict]:
    """/lab/worker-token holds the current worker token and nothing else."""
    saved = inspector.file("/lab/worker-token")
    if saved is None:
        yield Verdict(False, "there is no file /lab/worker-token yet")
        return
    tokens = inspector.swarm["JoinTokens"]
    if saved == tokens["Worker"]:
        yield Verdict(True, "/lab/worker-token holds the current worker token")
    elif saved == tokens["Manager"]:
        yield Verdict(False, "/lab/worker-token holds the token for managers: it would let in a manager")
    elif tokens["Worker"] in saved:
        yield Verdict(False, "/lab/worker-token holds the worker token, and more than that")
    else:
        yield Verdict(False, "/lab/worker-token holds something else, or a token that was rotated since")


def _leaked_token_is_dead(inspector: Inspector) -> Iterator[Verdict]:
    leaked = inspector.file("/lab/leaked-token")
    if leaked is None:
        yield Verdict(False, "there is no file /lab/leaked-token: run the cell that leaks the token first")
        return
    tokens = inspector.swarm["JoinTokens"].values()
    if any(token in leaked for token in tokens):
        yield Verdict(False, "the leaked token still opens the swarm")
    elif not re.fullmatch(_TOKEN, leaked):
        yield Verdict(
            False, "/lab/leaked-token no longer holds what leaked: run the cell that leaks it again"
        )
    else:
        yield Verdict(True, "the leaked manager token is worthless")
    yield from saved_worker_token(inspector)


_TOKEN = r"SWMTKN-1-[0-9a-z]{50}-[0-9a-z]{25}"
_NANOSECONDS = 10**9
_POOL = "10.77.0.0/16"


def _certificates_live_30_days(inspector: Inspector) -> Iterator[Verdict]:
    hours = inspector.swarm["Spec"]["CAConfig"]["NodeCertExpiry"] / _NANOSECONDS / 3600
    yield Verdict(hours == 720, f"certificates of nodes live for {hours:g} hours")


def _reserved_pool(inspector: Inspector) -> Iterator[Verdict]:
    pools = inspector.swarm["DefaultAddrPool"] or []
    told = ", ".join(pools) or "10.0.0.0/8, the default"
    yield Verdict(pools == [_POOL], f"networks of the swarm get addresses from {told}")
    yield inspector.holds(checks.nodes_ready(1))
    manager = inspector.node("manager1")
    advertised = (manager or {}).get("ManagerStatus", {}).get("Addr", "").partition(":")[0]
    own = inspector.lab.node("manager1").address
    yield Verdict(advertised == own, f"manager1 advertises {advertised or 'nothing'}; its eth0 has {own}")


def _what_the_file_holds(inspector: Inspector) -> str:
    saved, tokens = inspector.file("/lab/worker-token"), inspector.swarm["JoinTokens"]
    if saved is None:
        return "There is no file of that name yet. Did you write it on manager1, and in /lab?"
    if tokens["Manager"] in saved:
        return "The file holds the token of the other role. The last word of the command chooses the role."
    if tokens["Worker"] in saved:
        return "The token is in the file, with other text around it. --quiet leaves that out."
    return "The file holds no token that is good today. Write it anew: > replaces what was there."


def _which_tokens_are_good(inspector: Inspector) -> str:
    leaked, tokens = inspector.file("/lab/leaked-token") or "", inspector.swarm["JoinTokens"]
    if tokens["Manager"] in leaked:
        return (
            "The manager token is still the one that leaked: docker swarm join-token --rotate, for managers."
        )
    if tokens["Worker"] != inspector.file("/lab/worker-token"):
        return "The worker token has changed as well. Write the present one to /lab/worker-token again."
    return "The manager token is a new one, and the worker token is as it was."


def _how_long_they_live(inspector: Inspector) -> str:
    hours = inspector.swarm["Spec"]["CAConfig"]["NodeCertExpiry"] / _NANOSECONDS / 3600
    return f"Now they live for {hours:g} hours. --cert-expiry takes a number with its unit, such as 24h."


def _what_the_pool_is(inspector: Inspector) -> str:
    if inspector.snapshot.quorum is None:
        return f"No swarm now: docker swarm init with --advertise-addr and --default-addr-pool {_POOL}."
    return "The pool of a swarm that exists cannot be changed: leave it with --force, then init again."


EXERCISES = (
    Exercise(
        task="Write the worker token, and nothing else, to /lab/worker-token",
        points=saved_worker_token,
        why="scripts that add nodes need the bare token; anything around it makes the join fail",
        hints=(
            "The command that shows the token prints a whole sentence. Look at its options: "
            "docker swarm join-token --help",
            "--quiet (or -q) prints the token alone. The shell's > writes output to a file.",
            _what_the_file_holds,
        ),
    ),
    Exercise(
        task="Make the leaked manager token worthless, and leave the worker token as it is",
        points=_leaked_token_is_dead,
        why="a leaked manager token hands over the swarm, but rotating more than you must breaks scripts",
        hints=(
            "Each role has its own token. Rotating one leaves the other alone.",
            "It is the command that rotated the worker token, with another role at its end.",
            _which_tokens_are_good,
        ),
    ),
    Exercise(
        task="Set the expiry of node certificates to 720 hours",
        points=_certificates_live_30_days,
        why="a stolen certificate is good until it expires; a short life limits the damage and costs nothing",
        hints=(
            "It is a setting of the whole swarm, so you change it with docker swarm update.",
            "docker swarm update --help: one option is about the validity period of certificates.",
            _how_long_they_live,
        ),
    ),
    Exercise(
        task=f"Form the swarm anew: manager1 alone, advertised on eth0, with the address pool {_POOL}",
        points=_reserved_pool,
        why="a pool that overlaps with your company's network makes parts of it unreachable from containers",
        hints=(
            "A node can be in one swarm only: dissolve the old one first, as you did above.",
            "docker swarm init --help: one option begins with --default-addr.",
            _what_the_pool_is,
        ),
    ),
)
