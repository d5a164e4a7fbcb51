"""The managers as voters: which take part, how many must agree, and what a loss would mean."""

from dataclasses import dataclass

from labkit.plots.arrangement import LOST, describe_engine
from labkit.swarm.model import Snapshot
from labkit.util.text import counted, listed, natural


@dataclass(frozen=True)
class Member:
    """A manager; `part` is leader, reachable, unreachable, joining, or empty if it isn't known."""

    name: str
    part: str
    condition: str

    @property
    def votes(self) -> bool:
        """Whether it can vote."""
        return self.part in ("leader", "reachable") or (not self.part and not self.condition)


@dataclass(frozen=True)
class QuorumView:
    """The managers. If not `sure`, some are nodes that are off and may or may not be managers."""

    members: tuple[Member, ...]
    quorum: bool | None
    sure: bool = True

    @property
    def voters(self) -> int:
        """How many have a vote, whether present or not; a joining manager has none yet."""
        return sum(member.part != "joining" for member in self.members)

    @property
    def present(self) -> int:
        """How many can vote now."""
        return sum(member.votes for member in self.members)

    @property
    def majority(self) -> int:
        """How many votes a decision needs."""
        return self.voters // 2 + 1

    @property
    def title(self) -> str:
        """How many managers take part."""
        if self.quorum is None:
            return "There is no swarm yet"
        if not self.quorum:
            return "The managers have lost their quorum"
        if self.voters == 1:
            return "One manager decides alone"
        if self.present == self.voters:
            return f"{'Both' if self.voters == 2 else f'All {self.voters}'} managers take part"
        return f"{self.present} of {counted(self.voters, 'manager')} take part"

    @property
    def rule(self) -> str:
        """`3 managers: 2 must agree; 1 may fail.`"""
        may_fail = self.voters - self.majority
        must = {1: "it decides alone", 2: "both must agree"}.get(self.voters, f"{self.majority} must agree")
        return f"{counted(self.voters, 'manager')}: {must}; {may_fail or 'none'} may fail."

    @property
    def ballot(self) -> str:
        """How many votes there are, and how many a majority needs: `Votes: 2 of 3. A majority is 2.`"""
        return f"Votes: {self.present} of {self.voters}. A majority is {self.majority}."

    @property
    def meaning(self) -> list[str]:
        """The rule, and what the current state means, in a sentence or two."""
        if self.quorum is None:
            return ["The first engine that creates a swarm is its first manager: docker swarm init."]
        if not self.quorum:
            return self._without_quorum()
        even = self.voters % 2 == 0
        hint = (
            f"{self.voters - 1} would do as well: an even number of managers adds no margin." if even else ""
        )
        return [line for line in (self.rule, self._consequence, hint) if line]

    @property
    def _consequence(self) -> str:
        if not self.quorum:
            return "The swarm cannot be changed; tasks on nodes that are up keep running."
        spare = self.present - self.majority
        more = "more " if self.present < self.voters else ""
        if spare > 0:
            return f"{spare} {more}may fail, and the swarm can still be changed."
        loss = "If it fails," if self.voters == 1 else f"One {more}loss and"
        return f"{loss} the swarm cannot be changed; running tasks keep running."

    def _without_quorum(self) -> list[str]:
        rule = [self.rule] if self.sure else []
        said = [*rule, self._consequence]
        missing = self.majority - self.present
        if missing <= 0:
            return [*said, "Enough managers are on: they are electing a leader, or cannot reach each other."]
        away = [member for member in self.members if member.condition]
        names = listed([f"{member.name} ({member.condition})" for member in away])
        if self.sure:
            back = (
                f"{missing} of them must come back." if missing < len(away) else "All of them must come back."
            )
        elif missing == 1:
            back = "There is a quorum again as soon as a manager among them comes back."
        else:
            back = f"There is a quorum again as soon as {missing} managers among them come back."
        return [*said, f"Missing: {names}. {back}"]

    @property
    def description(self) -> str:
        """The whole picture in words."""
        told = [
            f"{member.name}: {', '.join(filter(None, [member.part, member.condition])) or 'on'}."
            for member in self.members
        ]
        if self.quorum is None:
            return "\n".join([f"{self.title}.", *self.meaning])
        conclusion = f"{self.title}; {self._consequence[0].lower()}{self._consequence[1:]}"
        rest = [line for line in self.meaning if line != self._consequence]
        ballot = [self.ballot] if self.sure else []
        return "\n".join([conclusion, *rest, *ballot, *told])


def quorum_view(snapshot: Snapshot, before: Snapshot | None = None) -> QuorumView:
    """The managers of a snapshot; without a quorum, those in `before`, or what the engines report."""
    known = snapshot if snapshot.quorum else before
    engines = snapshot.engines
    if known is not None and known.quorum:
        nodes = sorted(
            (node for node in known.nodes if node.role == "manager"), key=lambda n: natural(n.name)
        )
        members = tuple(
            Member(
                node.name,
                (node.manager_status or "joining") if snapshot.quorum else "",
                describe_engine(engines.get(node.name)),
            )
            for node in nodes
        )
        return QuorumView(members, snapshot.quorum)
    if snapshot.quorum is None:
        return QuorumView((), None)
    perhaps = [
        Member(name, "", describe_engine(engine))
        for name, engine in sorted(engines.items(), key=lambda item: natural(item[0]))
        if engine.manager or describe_engine(engine) in (*LOST, "locked")
    ]
    return QuorumView(tuple(perhaps), False, sure=False)
