"""When a vote is decided: quorum arithmetic, and the count of signed ballots.

Everything is an integer, so the caller, each elector and whoever reads a certificate
years later come to the same answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import attrs

from meshp2p.consensus.ballot import CastBallot, Proposal
from meshp2p.consensus.envelope import PPM
from meshp2p.ids import NodeId

MAJORITY: Final = PPM // 2
"""Default threshold. That it must be *more* than half follows from `Rule.needed`."""


def default_faulty(weight: int) -> int:
    """Most weight that may vote twice when nothing else is said: floor((W - 1) / 3)."""
    return max(0, (weight - 1) // 3)


@attrs.frozen(kw_only=True)
class Rule:
    """What it takes to decide.

    Two outcomes of one vote would each need `needed` equal ballots, so together more than
    W + F: more than F of the weight would have signed both, which was excluded.

    Args:
        weight: W, of all electors together.
        faulty: F, weight of those who may sign two different ballots.
        threshold_ppm: Least share of W that an option needs to win.
        participation_ppm: Least share of W that must have cast a ballot.

    Source: Malkhi and Reiter, "Byzantine quorum systems" (1998).
    """

    weight: int
    faulty: int
    threshold_ppm: int
    participation_ppm: int

    @classmethod
    def of(cls, proposal: Proposal) -> Rule:
        """The rule that a proposal states."""
        return cls(
            weight=proposal.weight,
            faulty=proposal.faulty,
            threshold_ppm=proposal.threshold_ppm,
            participation_ppm=proposal.participation_ppm,
        )

    @property
    def needed(self) -> int:
        """Weight of equal ballots that decides."""
        return max((self.weight + self.faulty) // 2 + 1, _share(self.threshold_ppm, self.weight))

    @property
    def cast_needed(self) -> int:
        """Weight that must have cast a ballot, for whatever option. Abstaining is not casting."""
        return _share(self.participation_ppm, self.weight)


@attrs.frozen(kw_only=True)
class Tally:
    """Ballots, counted.

    Args:
        by_option: Weight of each option, in the proposal's order; zero included.
        cast: Weight that chose something.
        heard: Electors that count as having answered, abstentions and spoiled included.
        spoiled: Electors that signed two different ballots; none of theirs counts.
    """

    by_option: Mapping[int, int]
    cast: int
    heard: frozenset[NodeId]
    spoiled: frozenset[NodeId]

    def winner(self, rule: Rule) -> int | None:
        """The option that is decided, by its place in the proposal; None if none is."""
        if self.cast < rule.cast_needed:
            return None
        reached = (option for option, weight in self.by_option.items() if weight >= rule.needed)
        return next(reached, None)  # at most one, since needed is more than half

    def can_still_decide(self, rule: Rule, outstanding: int) -> bool:
        """Whether ballots of so much more weight could decide the vote."""
        best = max(self.by_option.values(), default=0)
        return best + outstanding >= rule.needed and self.cast + outstanding >= rule.cast_needed


def count(proposal: Proposal, ballots: Iterable[CastBallot]) -> Tally:
    """Count ballots whose signatures have been checked (or taken for granted).

    Equal ballots of one elector count once; two different ones not at all, because
    nobody could say which of them it meant.
    """
    per_elector: dict[NodeId, set[tuple[int, ...]]] = {}
    signed: dict[NodeId, set[bytes]] = {}
    for ballot in ballots:
        per_elector.setdefault(ballot.elector, set()).add(ballot.choice)
        signed.setdefault(ballot.elector, set()).add(ballot.payload)
    spoiled = frozenset(elector for elector, payloads in signed.items() if len(payloads) > 1)
    by_option = dict.fromkeys(range(len(proposal.options)), 0)
    for elector, choices in per_elector.items():
        for choice in choices if elector not in spoiled else ():
            if choice and choice[0] in by_option:
                by_option[choice[0]] += proposal.weight_of(elector)
    return Tally(
        by_option=by_option,
        cast=sum(by_option.values()),
        heard=frozenset(per_elector),
        spoiled=spoiled,
    )


def _share(ppm: int, weight: int) -> int:
    """That share of the weight, rounded up."""
    return -(-ppm * weight // PPM)
