"""Calling a vote: one signed proposal out, signed ballots in, a certificate or no decision.

One-shot: enough equal ballots are the certificate. If they do not come together, nothing
was decided, and this says so; it never guesses at ballots that did not arrive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from meshp2p.consensus.ballot import NONCE_BYTES, PLURALITY, CastBallot, Elector, Proposal
from meshp2p.consensus.certificate import Certificate
from meshp2p.consensus.envelope import PPM
from meshp2p.consensus.quorum import MAJORITY, Rule, Tally, count, default_faulty
from meshp2p.consensus.surroundings import Reply, Surroundings
from meshp2p.effects import Record
from meshp2p.errors import CredentialError, StateUnusable, Undecided, UsageError, WireError
from meshp2p.identity.credential import without_transport
from meshp2p.ids import NodeId, Seconds
from meshp2p.wire import limits

CALL: Final = "!vote.call"
"""Body: a signed proposal. Answer: a signed ballot, which may be an abstention."""

CALLS: Final = "vote.call"
"""Journal: pid to signed proposal, from before it is sent until the vote is closed."""

_MILLISECONDS: Final = 1_000


@attrs.frozen(kw_only=True)
class ElectorBallot:
    """What one elector said, as shown to the user; `option` None is an abstention."""

    elector: NodeId
    handle: str
    option: str | None
    confidence: float
    rationale: str


@attrs.frozen(kw_only=True)
class VoteResult:
    """A decided vote.

    Args:
        choice: The option that won.
        confidence: Mean of what those who chose it said about themselves, 0 to 1.
        ballots: Every ballot that arrived in time.
        turnout: Share of the weight that cast a ballot, abstentions not counted.
        certificate: Proves all of this to others.
    """

    choice: str
    confidence: float
    ballots: tuple[ElectorBallot, ...]
    turnout: float
    certificate: Certificate


@attrs.define(eq=False)
class _OpenVote:
    """A vote that is under way. `sent`: its call is on disk, and electors may have it."""

    number: int
    proposal: Proposal
    call: bytes
    closes_at: Seconds
    waiting: set[NodeId]
    ballots: dict[NodeId, CastBallot] = attrs.field(factory=dict)
    closing: int = 0
    sent: bool = False


class VoteCaller:
    """All votes that this node has called and not closed."""

    def __init__(
        self, surroundings: Surroundings, stored: Mapping[tuple[str, bytes], bytes]
    ) -> None:
        """Continue with the journal of an earlier life; its open votes are over."""
        self.rejected = 0
        """Ballots that were forged, damaged, or for another vote."""
        self._around = surroundings
        self._open: dict[bytes, _OpenVote] = {}
        self._leftover = [key for table, key in stored if table == CALLS]

    def call(  # noqa: PLR0913  # the rules of a vote are that many
        self,
        number: int,
        question: str,
        options: Sequence[str],
        electors: Sequence[Elector],
        *,
        closes_in: Seconds,
        now: Seconds,
        unix: float,
        quorum_ppm: int = 0,
        threshold_ppm: int = MAJORITY,
        faulty: int | None = None,
        method: str = PLURALITY,
        among: str = "",
    ) -> None:
        """Call a vote; it ends in `Finished(number)` with a VoteResult or Undecided.

        Args:
            electors: The electorate, chains as gossip has them; fixed from now on.
            closes_in: Seconds from now.
            unix: Wall clock; every elector compares it with its own.
            quorum_ppm: Least share of the weight that must cast a ballot.
            threshold_ppm: Least share of the weight that must agree; never half or less.
            faulty: Weight that may vote twice; None for a third, as far as it goes.

        Raises:
            UsageError: Such a vote cannot be; the text says why.
        """
        self._check_may_call()
        people = [self._for_the_record(elector) for elector in electors]
        weight = sum(elector.weight for elector in people)
        identity = self._around.identity
        me = Elector(
            node_key=identity.node_public,
            journal_id=identity.journal_id,
            chain=identity.chain,
            handle=identity.handle,
        )
        proposal = Proposal(
            mesh_id=identity.keys.mesh_id,
            namespace=identity.keys.namespace,
            shared=identity.keys.shared,
            caller=self._for_the_record(me),
            nonce=self._around.entropy(NONCE_BYTES),
            wall=int(unix),
            question=question,
            options=tuple(options),
            participation_ppm=quorum_ppm,
            threshold_ppm=threshold_ppm,
            faulty=default_faulty(weight) if faulty is None else faulty,
            closes_ms=round(closes_in * _MILLISECONDS),
            electors=tuple(people),
            method=method,
            among=among,
        )
        self._propose(number, proposal, now + closes_in)

    def cancel(self, number: int) -> None:
        """The user waits no more: a call that was not sent never is; ballots are promises."""
        for vote in list(self._open.values()):
            if vote.number == number and not vote.sent:
                self._close(vote)

    def member_lost(self, member: NodeId) -> None:
        """Wait no longer for an elector that is gone."""
        for vote in list(self._open.values()):
            if member in vote.waiting:
                self._heard(vote, member)

    def close(self, error: Exception) -> None:
        """Wait for no ballot any more: each vote ends with this error."""
        for vote in list(self._open.values()):
            self._close(vote)
            self._around.finish(vote.number, error=error)

    def _check_may_call(self) -> None:
        if not self._around.identity.may_promise:
            raise UsageError("an ephemeral node keeps no journal, so it may not call a vote")
        if len(self._open) >= limits.MAX_OPEN_VOTES:
            raise UsageError(f"{len(self._open)} votes are open already: wait for some to close")

    def _for_the_record(self, elector: Elector) -> Elector:
        """The same with the part of its credential that lasts."""
        try:
            return attrs.evolve(elector, chain=without_transport(elector.chain))
        except (WireError, CredentialError) as error:
            raise UsageError(f"{elector.name} has no usable credential: {error}") from error

    def _propose(self, number: int, proposal: Proposal, closes_at: Seconds) -> None:
        around = self._around
        try:
            identity = around.identity
            call = proposal.sign(around.crypto, identity.node_private, identity.keys.group_id)
            # What others would refuse is the caller's mistake: read it as they will.
            proposal = Proposal.read_untrusted(call)
        except (WireError, ValueError, TypeError, OverflowError) as error:
            raise UsageError(f"such a vote cannot be called: {error}") from error
        electors = {elector.id for elector in proposal.electors}
        vote = _OpenVote(number, proposal, call, closes_at, electors)
        self._open[proposal.pid] = vote
        # From now on, whatever the disk does: a vote ends at its time.
        vote.closing = around.deadlines.call_at(closes_at, lambda _: self._give_up(vote))
        forgotten = [Record(CALLS, key, None) for key in self._leftover]
        self._leftover = []
        around.persist(
            *forgotten,
            Record(CALLS, proposal.pid, call),
            then=lambda ok, now: self._announce(vote, ok=ok, now=now),
        )

    def _announce(self, vote: _OpenVote, *, ok: bool, now: Seconds) -> None:
        if vote.proposal.pid not in self._open:
            return
        if not ok:
            self._around.deadlines.cancel(vote.closing)
            del self._open[vote.proposal.pid]
            error = StateUnusable("the vote was not called: it could not be written to disk")
            self._around.finish(vote.number, error=error)
            return
        vote.sent = True
        for elector in vote.proposal.electors:
            if elector.id in vote.waiting:
                self._ask(vote, elector.id, vote.closes_at - now)
        self._conclude(vote)

    def _ask(self, vote: _OpenVote, elector: NodeId, timeout: Seconds) -> None:
        def then(reply: Reply, _now: Seconds) -> None:
            if reply.ok:
                self._count(vote, elector, reply.body)
            self._heard(vote, elector)

        self._around.ask(elector, CALL, vote.call, max(timeout, 1 / _MILLISECONDS), then)

    def _count(self, vote: _OpenVote, elector: NodeId, statement: bytes) -> None:
        """Keep the elector's ballot if it is one."""
        group_id = self._around.identity.keys.group_id
        try:
            ballot = CastBallot.read_untrusted(statement)
            ballot.check_answers(vote.proposal, self._around.crypto, group_id)
        except WireError:
            self.rejected += 1
            return
        if ballot.elector == elector:
            vote.ballots.setdefault(elector, ballot)
        else:
            self.rejected += 1  # somebody else's, and valid: only its owner may hand it in

    def _heard(self, vote: _OpenVote, elector: NodeId) -> None:
        vote.waiting.discard(elector)
        self._conclude(vote)

    def _conclude(self, vote: _OpenVote) -> None:
        """Close the vote as soon as nothing that could still arrive would change the end."""
        if vote.proposal.pid not in self._open or not vote.closing:
            return
        rule, tally = Rule.of(vote.proposal), count(vote.proposal, vote.ballots.values())
        winner = tally.winner(rule)
        if winner is not None:
            self._close(vote)
            self._around.finish(vote.number, self._result(vote, winner, tally))
            return
        outstanding = sum(vote.proposal.weight_of(elector) for elector in vote.waiting)
        if not tally.can_still_decide(rule, outstanding):
            self._give_up(vote)

    def _give_up(self, vote: _OpenVote) -> None:
        """Nothing was decided. Say what is known."""
        self._close(vote)
        proposal = vote.proposal
        tally = count(proposal, vote.ballots.values())
        error = Undecided(
            question=proposal.question,
            needed=Rule.of(proposal).needed,
            tally={proposal.options[o]: w for o, w in tally.by_option.items() if w},
            missing=tuple(e.name for e in proposal.electors if e.id not in vote.ballots),
        )
        self._around.finish(vote.number, error=error)

    def _close(self, vote: _OpenVote) -> None:
        del self._open[vote.proposal.pid]
        self._around.deadlines.cancel(vote.closing)
        self._around.persist(Record(CALLS, vote.proposal.pid, None))

    def _result(self, vote: _OpenVote, winner: int, tally: Tally) -> VoteResult:
        proposal = vote.proposal
        group_id = self._around.identity.keys.group_id
        statements = [ballot.statement for ballot in vote.ballots.values()]
        weighed = [
            (proposal.weight_of(elector), ballot.confidence_ppm)
            for elector, ballot in vote.ballots.items()
            if ballot.choice == (winner,)
        ]
        heavy = sum(weight for weight, _ in weighed)
        return VoteResult(
            choice=proposal.options[winner],
            confidence=sum(weight * ppm for weight, ppm in weighed) / heavy / PPM,
            ballots=tuple(self._shown(proposal, ballot) for ballot in vote.ballots.values()),
            turnout=tally.cast / proposal.weight,
            certificate=Certificate.assemble(group_id, vote.call, statements),
        )

    def _shown(self, proposal: Proposal, ballot: CastBallot) -> ElectorBallot:
        elector = proposal.elector(ballot.elector)
        return ElectorBallot(
            elector=ballot.elector,
            handle=elector.handle if elector else "",
            option=proposal.options[ballot.choice[0]] if ballot.choice else None,
            confidence=ballot.confidence_ppm / PPM,
            rationale=ballot.rationale,
        )
