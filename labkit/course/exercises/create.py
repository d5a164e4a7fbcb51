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
        yield Verdict(False, "/lab/worker-token holds the worker token, and something else")
    else:
        yield Verdict(False, "/lab/worker-token holds something else, or a token that has been rotated since")


def _leaked_token_is_dead(inspector: Inspector) -> Iterator[Verdict]:
    leaked = inspector.file("/lab/leaked-token")
    if leaked is None:
        yield Verdict(False, "there is no file /lab/leaked-token: run the cell above this exercise first")
        return
    tokens = inspector.swarm["JoinTokens"].values()
    if any(token in leaked for token in tokens):
        yield Verdict(False, "the leaked token still opens the swarm")
    elif not re.fullmatch(_TOKEN, leaked):
        yield Verdict(
            False, "/lab/leaked-token no longer holds what leaked: run the cell above this exercise again"
        )
    else:
        yield Verdict(True, "the leaked manager token is worthless")
    yield from saved_worker_token(inspector)


_TOKEN = r"SWMTKN-1-[0-9a-z]{50}-[0-9a-z]{25}"
_NANOSECONDS = 10**9
_POOL = "10.77.0.0/16"
_OPEN, _BLOCKED, _TELNET = (2377, 7946), 124, 23  # 124 is how `timeout` says that it had to give up
_DAYS_OFF, _MOST_DAYS = 21, 120
_LEFT_AT_WORST = 0.2  # of a certificate's lifetime, when the node is about to renew it (swarmkit, ca)


def _exit_code(inspector: Inspector, port: int) -> int:
    command = f"timeout 1 bash -c '</dev/tcp/manager1/{port}'"
    return inspector.run("worker1", command).exit_code


def _only_telnet_is_blocked(inspector: Inspector) -> Iterator[Verdict]:
    for port in _OPEN:
        ok = _exit_code(inspector, port) == 0
        yield Verdict(ok, f"worker1 {'reaches' if ok else 'does not reach'} port {port}/tcp of manager1")
    ok = _exit_code(inspector, _TELNET) == _BLOCKED
    yield Verdict(ok, f"the firewall of manager1 {'drops' if ok else 'lets through'} packets to port 23/tcp")


def _lifetime(inspector: Inspector) -> float:
    """How many days node certificates live."""
    expiry: int = inspector.swarm["Spec"]["CAConfig"]["NodeCertExpiry"]
    return expiry / _NANOSECONDS / 3600 / 24


def _outlives_the_break(inspector: Inspector) -> Iterator[Verdict]:
    days = _lifetime(inspector)
    left = days * _LEFT_AT_WORST
    yield Verdict(
        left >= _DAYS_OFF,
        f"with {days:g} days, a certificate is valid for at least {left:.3g} more days when its node is "
        "turned off",
    )
    yield Verdict(days <= _MOST_DAYS, f"certificates live for {days:g} days; {_MOST_DAYS} are allowed")


def _reserved_pool(inspector: Inspector) -> Iterator[Verdict]:
    pools = inspector.swarm["DefaultAddrPool"] or []
    found = ", ".join(pools) or "10.0.0.0/8, the default"
    yield Verdict(pools == [_POOL], f"networks of the swarm get addresses from {found}")
    yield inspector.holds(checks.nodes_ready(1))
    manager = inspector.node("manager1")
    advertised = (manager or {}).get("ManagerStatus", {}).get("Addr", "").partition(":")[0]
    own = inspector.lab.node("manager1").address
    yield Verdict(advertised == own, f"manager1 advertises {advertised or 'nothing'}; its eth0 has {own}")


def _what_the_firewall_does(inspector: Inspector) -> str:
    blocked = [str(port) for port in _OPEN if _exit_code(inspector, port) != 0]
    if blocked:
        return (
            f"worker1 still can't reach {' and '.join(blocked)}. iptables -D deletes a rule: write the rule "
            "as iptables -S INPUT prints it, with -D in place of -A."
        )
    if _exit_code(inspector, _TELNET) != _BLOCKED:
        return (
            "Port 23 isn't blocked anymore. Block it again: iptables -A INPUT -i eth0 -p tcp --dport 23 "
            "-j DROP"
        )
    return "Both ports can be reached, and port 23 is blocked."


def _what_the_file_holds(inspector: Inspector) -> str:
    saved, tokens = inspector.file("/lab/worker-token"), inspector.swarm["JoinTokens"]
    if saved is None:
        return "There's no file of that name. Did you write it on manager1, in the folder /lab?"
    if tokens["Manager"] in saved:
        return (
            "The file holds the token for managers. The last word of the command, worker or manager, decides."
        )
    if tokens["Worker"] in saved:
        return "The token is in the file, but with other text around it. --quiet leaves that out."
    return "The file holds no token that works now. Write it again: > replaces the old content."


def _which_tokens_are_good(inspector: Inspector) -> str:
    leaked, tokens = inspector.file("/lab/leaked-token") or "", inspector.swarm["JoinTokens"]
    if tokens["Manager"] in leaked:
        return "The leaked token is the one for managers, and it still works. --rotate replaces it."
    if tokens["Worker"] != inspector.file("/lab/worker-token"):
        return (
            "The leaked token was the one for managers, but the worker token has changed too. Write the "
            "current one to /lab/worker-token."
        )
    return "The leaked token is worthless, and the worker token still works."


def _how_long_they_live(inspector: Inspector) -> str:
    days = _lifetime(inspector)
    return (
        f"Right now, certificates live for {days:g} days, so {days * _LEFT_AT_WORST:.3g} days are left at "
        f"the worst moment. You need {_DAYS_OFF}. --cert-expiry wants hours, such as 2160h."
    )


def _what_the_pool_is(inspector: Inspector) -> str:
    if inspector.snapshot.quorum is None:
        return (
            "There's no swarm now. Create one: docker swarm init, with --advertise-addr and "
            f"--default-addr-pool {_POOL}."
        )
    return "You can't change the pool of an existing swarm. Leave it with --force, and then init again."


EXERCISES = {
    5: Exercise(
        task="Let other nodes reach ports 2377 and 7946 of manager1 again, and keep port 23 blocked",
        points=_only_telnet_is_blocked,
        why="a join that times out is a network problem far more often than a problem of Swarm",
        hints=(
            "On manager1, iptables -S INPUT lists two rules. One of them drops what the swarm needs.",
            "iptables -D INPUT … deletes a rule. The rest of the line is the same as when it was added.",
            _what_the_firewall_does,
        ),
    ),
    1: Exercise(
        task="Make /lab/worker-token contain the worker token, and nothing else",
        points=saved_worker_token,
        why="scripts that add nodes need the bare token; any text around it makes the join fail",
        hints=(
            "Compare what's in the file with what docker swarm join --token expects.",
            "docker swarm join-token --help: one option makes it print only the token.",
            _what_the_file_holds,
        ),
    ),
    2: Exercise(
        task="Make the leaked token worthless, and leave the token for the other role as it is",
        points=_leaked_token_is_dead,
        why="a leaked manager token gives away the whole swarm, and each rotation breaks the scripts that "
        "hold the old token",
        hints=(
            "Print both tokens with docker swarm join-token --quiet, and compare their last parts with the "
            "leaked one.",
            "docker swarm join-token --rotate takes a role, and leaves the other role's token alone.",
            _which_tokens_are_good,
        ),
    ),
    6: Exercise(
        task="Choose a certificate lifetime of at most 120 days, so that any node can rejoin after three "
        "weeks off",
        points=_outlives_the_break,
        why="a node that stays off until its certificate expires can't come back by itself",
        hints=(
            "At the worst moment, 20% of the lifetime is left. 20% of what lifetime is three weeks?",
            "21 days divided by 0.2 is 105 days. docker swarm update --cert-expiry takes hours: days × 24.",
            _how_long_they_live,
        ),
    ),
    4: Exercise(
        task=f"Start over: a swarm of manager1 alone, advertised on eth0, with the address pool {_POOL}",
        points=_reserved_pool,
        why="if a swarm's pool overlaps with your company's network, containers can't reach parts of it",
        hints=(
            "A node can be in only one swarm, so leave the old one first, as you did above.",
            "docker swarm init --help: one option begins with --default-addr.",
            _what_the_pool_is,
        ),
    ),
}
