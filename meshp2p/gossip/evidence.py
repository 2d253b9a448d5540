"""What speaks against members, and for them: kept, so that one can ask why.

Nothing is decided here. Who decides notes on what grounds, in words for people and with
the signed statements, which anybody can check.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Final

import attrs

from meshp2p.events import Clue, ClueKind, Member, MemberEventName, Stall, Why
from meshp2p.gossip.accusation import REFUSED, RESET, TIMEOUT, Accusation
from meshp2p.ids import NodeId, Seconds
from meshp2p.wire import limits

REASONS: Final[dict[int, str]] = {
    TIMEOUT: "it did not answer",
    REFUSED: "its machine refuses packets to it",
    RESET: "its connection was reset",
}
"""What an accusation says, for people."""

_GOOD: Final = frozenset({"answered"})
"""Is noted only of those against whom something speaks: of the others there is no end."""
_DECISIONS: Final = frozenset({"suspected", "acquitted", "refuted", "failed", "left", "returned"})
"""Begin a state."""

_KINDS: Final[dict[MemberEventName, ClueKind]] = {
    "member.suspected": "suspected",
    "member.updated": "updated",
    "member.failed": "failed",
    "member.left": "left",
    "member.returned": "returned",
}
ANSWERED: Final = "it answered"
ANSWERED_CALL: Final = "it answered a call"
REFUTED: Final = "it refuted the suspicion"
_GROUNDS: Final[dict[str, ClueKind]] = {
    ANSWERED: "acquitted",
    ANSWERED_CALL: "acquitted",
    REFUTED: "refuted",
}
"""Why somebody is no longer suspect."""


@attrs.define
class _Case:
    since: Seconds | None = None
    clues: list[Clue] = attrs.field(factory=list)


@attrs.define
class EvidenceLog:
    """The last few clues about each member in doubt, and this node's own last stalls.

    Holds `limits.MAX_CLUES` for each of at most `limits.MAX_CASES` members; whose newest
    clue is oldest goes first. A member against whom nothing was ever said costs nothing.

    Args:
        now: Node's monotonic clock, of the input being handled.
    """

    now: Seconds = 0.0
    stalls: deque[Stall] = attrs.field(factory=lambda: deque(maxlen=limits.MAX_CLUES), init=False)
    _cases: OrderedDict[NodeId, _Case] = attrs.field(factory=OrderedDict, init=False)

    def __len__(self) -> int:
        """Members about whom something is kept."""
        return len(self._cases)

    def note(  # what a clue consists of
        self,
        member: NodeId,
        kind: ClueKind,
        text: str = "",
        *,
        rtt: Seconds | None = None,
        accusation: Accusation | None = None,
    ) -> None:
        """Keep a clue; equal ones that follow each other are counted as one.

        Args:
            rtt: Of a probe that was answered.
            accusation: The signed statement, its signature verified.
        """
        if kind in _GOOD and member not in self._cases:
            return
        case = self._cases.setdefault(member, _Case())
        self._cases.move_to_end(member)
        if kind in _DECISIONS:
            case.since = self.now
        clue = Clue(at=self.now, first_at=self.now, kind=kind, text=text, rtt=rtt)
        if accusation is not None:
            clue = attrs.evolve(
                clue,
                by=accusation.accuser,
                unix=accusation.unix,
                statement=accusation.raw,
                text=text or REASONS.get(accusation.evidence, REASONS[TIMEOUT]),
            )
        self._keep(case, clue)
        if len(self._cases) > limits.MAX_CASES:
            self._cases.popitem(last=False)

    def accused(self, accusation: Accusation) -> None:
        """Somebody, this node perhaps, accuses a member; the signature is verified."""
        self.note(accusation.subject, "accused", accusation=accusation)

    def changed(self, member: NodeId, event: MemberEventName, reason: str) -> None:
        """The application hears of the member; that it is there at all is no clue."""
        if event == "member.joined":
            return
        kind: ClueKind = _KINDS[event]
        if event == "member.updated" and reason in _GROUNDS:
            kind = _GROUNDS[reason]
        self.note(member, kind, reason)

    def stalled(self, late: Seconds) -> None:
        """This node itself stood still for so long; what it missed meanwhile proves nothing."""
        self.stalls.append(Stall(self.now, late))

    def why(self, member: Member, names: dict[NodeId, str], unix: float) -> Why:
        """All that is known.

        Args:
            names: Of accusers, for people.
            unix: Wall clock at `now`.
        """
        case = self._cases.get(member.id, _Case())
        clues = [
            clue if clue.by is None else attrs.evolve(clue, by_name=names.get(clue.by, ""))
            for clue in case.clues
        ]
        since = member.joined_at if case.since is None else case.since
        return Why(
            member=member,
            since=since,
            now=self.now,
            unix=unix,
            clues=tuple(clues),
            stalls=tuple(stall for stall in self.stalls if stall.at >= member.joined_at),
        )

    def accusers(self, member: NodeId) -> set[NodeId]:
        """Whose statements are kept."""
        case = self._cases.get(member, _Case())
        return {clue.by for clue in case.clues if clue.by is not None}

    @staticmethod
    def _keep(case: _Case, clue: Clue) -> None:
        last = case.clues[-1] if case.clues else None
        if last is not None and last.is_like(clue):
            first, times = last.first_at, last.times + 1
            case.clues[-1] = attrs.evolve(clue, first_at=first, times=times)
            return
        case.clues.append(clue)
        if len(case.clues) > limits.MAX_CLUES:
            del case.clues[0]
