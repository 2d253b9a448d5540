"""V1, V2, V5: what a vote's certificate says is what its electors signed, and final."""

from __future__ import annotations

from collections import defaultdict

from meshp2p.consensus import VoteResult
from meshp2p.consensus.ballot import BALLOT, CastBallot
from meshp2p.consensus.certificate import Certificate
from meshp2p.consensus.envelope import PPM, is_signed_by
from meshp2p.events import CallFinished
from meshp2p.ids import NodeId
from meshp2p.simulation.invariants.invariant import Invariant
from meshp2p.simulation.invariants.lookout import Lookout, Outlook
from meshp2p.simulation.invariants.overheard import silent


class VoteInvariant(Invariant):
    """One that looks at each decided vote in the moment in which its caller is told."""

    def __init__(self, lookout: Lookout) -> None:
        """Be told of commands that end."""
        super().__init__(lookout)
        self.crypto = silent(self.world.crypto)
        lookout.hear(CallFinished, self._finished)

    def _finished(self, outlook: Outlook, event: CallFinished) -> None:
        if isinstance(event.value, VoteResult):
            self.decided(outlook, event.value)

    def decided(self, outlook: Outlook, result: VoteResult) -> None:
        """The caller believes that the vote was decided so."""


class OneOutcome(VoteInvariant):
    """V1: <= 1 certified outcome per pid."""

    name = "V1"
    promise = "A vote has one outcome or none, on whatever side of a partition one asks."

    def __init__(self, lookout: Lookout) -> None:
        """Nothing was decided."""
        super().__init__(lookout)
        self._outcomes: dict[bytes, str] = {}

    def decided(self, outlook: Outlook, result: VoteResult) -> None:
        """Compare with what is known of this vote."""
        pid = result.certificate.proposal.pid
        first = self._outcomes.setdefault(pid, result.choice)
        if first != result.choice:
            self.violate(f"one vote was decided as {first!r} and {result.choice!r}", outlook.name)


class Recounts(VoteInvariant):
    """V2: tally contains only electors' valid ballots and recounts to the outcome."""

    name = "V2"
    promise = "Counted are the electors named at the beginning, each once, and nobody else."

    def decided(self, outlook: Outlook, result: VoteResult) -> None:
        """Count again, in other words than the engine's."""
        certificate, who = result.certificate, outlook.name
        proposal = certificate.proposal
        if result.choice not in proposal.options:
            self.violate(f"{who} was told {result.choice!r}, which was no option", who)
        won = proposal.options.index(result.choice)
        weights = {each.id: each.weight for each in proposal.electors}
        signed: defaultdict[NodeId, set[bytes]] = defaultdict(set)
        choices: dict[NodeId, tuple[int, ...]] = {}
        for ballot in certificate.cast:
            self._check(outlook, certificate, ballot)
            signed[ballot.elector].add(ballot.payload)
            choices[ballot.elector] = ballot.choice
        counted = [each for each in choices if len(signed[each]) == 1 and choices[each]]
        cast = sum(weights[each] for each in counted)
        for_it = sum(weights[each] for each in counted if choices[each] == (won,))
        total = sum(weights.values())
        majority = max((total + proposal.faulty) // 2 + 1, _share(proposal.threshold_ppm, total))
        if for_it < majority or cast < _share(proposal.participation_ppm, total):
            text = f"{who} was told {result.choice!r} by weight {for_it} of {cast} cast and {total}"
            self.violate(f"{text} in all; {majority} would decide", who)

    def _check(self, outlook: Outlook, certificate: Certificate, ballot: CastBallot) -> None:
        proposal = certificate.proposal
        elector = next((each for each in proposal.electors if each.id == ballot.elector), None)
        if elector is None or ballot.pid != proposal.pid:
            self.violate(f"{outlook.name} counted a ballot of no elector of the vote", outlook.name)
        keys = (elector.node_key, BALLOT, certificate.group_id, ballot.statement)
        if not is_signed_by(self.crypto, *keys):
            who = self.call(ballot.elector)
            self.violate(f"{outlook.name} counted a ballot that {who} did not sign", outlook.name)


class Verifies(VoteInvariant):
    """V5: offline verifier accepts exactly certified outcomes."""

    name = "V5"
    promise = "Whoever holds a certificate can check it alone, and comes to the same outcome."

    def decided(self, outlook: Outlook, result: VoteResult) -> None:
        """Verify what the user would hand on, after a journey through bytes."""
        root = outlook.node.keys.root_public
        certificate = Certificate.from_bytes_untrusted(result.certificate.to_bytes())
        verdict = certificate.verify(root, crypto=self.crypto)
        if not verdict.valid or verdict.outcome != result.choice:
            text = f"{outlook.name} was told {result.choice!r}, and the certificate says: "
            self.violate(text + verdict.explanation, outlook.name)


def _share(ppm: int, weight: int) -> int:
    """That share of the weight, rounded up."""
    return (ppm * weight + PPM - 1) // PPM
