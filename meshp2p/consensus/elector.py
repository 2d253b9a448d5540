"""Answering calls to vote: examine, ask the user's voter, sign once, write, answer.

A node signs at most one ballot for a vote, for ever. The signed bytes go to disk before
they leave; when the same call comes again, also after a restart, the same bytes go out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from meshp2p.consensus.ballot import PROPOSAL, CastBallot, Elector, Proposal, VoteCall
from meshp2p.consensus.electorate import check_credential, people_of
from meshp2p.consensus.envelope import FORMAT, PPM, Fields, is_signed_by
from meshp2p.consensus.surroundings import OK, Surroundings
from meshp2p.effects import Record
from meshp2p.errors import CredentialError, StateUnusable, WireError
from meshp2p.ids import NodeId, Seconds
from meshp2p.wire import codec, limits

BALLOTS: Final = "vote.ballot"
"""Journal: pid to [the proposal's wall time, the signed ballot]."""

FLOOR: Final = "vote.floor"
"""Journal, one row with an empty key: calls of this wall time or before are refused,
because ballots that old have been forgotten. So no clock that is set back, and no bound
on memory, makes a node sign twice."""

_TIDY_INTERVAL: Final = 60
"""Seconds between two looks for ballots that may be forgotten."""

_PAUSE: Final = 0.001
"""Seconds between two portions of signature checks, so that other traffic gets through."""


@attrs.define(eq=False)
class _Question:
    """A call to vote that is not answered yet.

    Args:
        ticket: Whoever asked last; an earlier one of the same call was refused.
        unexamined: People whose credentials are still to be verified.
    """

    ticket: int
    proposal: Proposal
    closes_at: Seconds
    unexamined: list[Elector]


class Voter:
    """This node as an elector in votes of its mesh, its own votes included."""

    def __init__(
        self, surroundings: Surroundings, stored: Mapping[tuple[str, bytes], bytes]
    ) -> None:
        """Remember the ballots of earlier lives.

        Raises:
            StateUnusable: The journal holds something else; who has forgotten how it
                voted must not vote.
        """
        self._around = surroundings
        self._open: dict[bytes, _Question] = {}
        self._signed: dict[bytes, tuple[int, bytes]] = {}
        self._on_disk: set[bytes] = set()
        self._floor = -1
        self._tidy_at = 0.0
        for (table, pid), value in stored.items():
            if table == BALLOTS:
                self._signed[pid] = _read_slot(value)
                self._on_disk.add(pid)
            elif table == FLOOR:
                self._floor = _read_slot(value)[0]

    def receive_call_untrusted(
        self, ticket: int, peer: NodeId, call: bytes, *, now: Seconds, unix: float
    ) -> None:
        """Consider a call to vote; the ticket is answered now or later.

        Raises:
            Nothing: what is wrong becomes the answer.
        """
        try:
            proposal = Proposal.read_untrusted(call)
            self._check_call(proposal, call, peer, unix)
        except WireError as error:
            self._around.refuse(ticket, str(error))
            return
        if proposal.pid in self._signed:
            self._send_signed(ticket, proposal.pid)
        elif proposal.pid in self._open:
            question = self._open[proposal.pid]
            self._around.refuse(question.ticket, "the same was asked again")
            question.ticket = ticket
        else:
            self._begin(ticket, proposal, now, unix)

    def _check_call(self, proposal: Proposal, call: bytes, peer: NodeId, unix: float) -> None:
        """Everything about a call that costs at most one signature check."""
        around = self._around
        identity = around.identity
        if not identity.may_promise:
            raise WireError("this node keeps no journal, so it may not vote")
        if proposal.caller.id != peer:
            raise WireError("the call was signed by somebody else")
        keys = identity.keys
        ours = (keys.mesh_id, keys.namespace, keys.shared)
        if (proposal.mesh_id, proposal.namespace, proposal.shared) != ours:
            raise WireError("the call is of another mesh or namespace")
        skew = abs(proposal.wall - unix)
        if skew > around.config.ballot_skew:
            raise WireError(
                f"the call's clock is {skew:.0f} s from this node's, "
                f"{around.config.ballot_skew:.0f} s are forgiven"
            )
        if proposal.wall <= self._floor:
            raise WireError("the call is older than what this node remembers of its ballots")
        myself = proposal.elector(identity.node_id)
        if myself is None or myself.journal_id != identity.journal_id:
            raise WireError("this node, with the journal it has, is no elector of this vote")
        if not is_signed_by(around.crypto, proposal.caller.node_key, PROPOSAL, keys.group_id, call):
            raise WireError("the call has a forged signature")

    def _begin(self, ticket: int, proposal: Proposal, now: Seconds, unix: float) -> None:
        self._forget_old(unix)
        kept = len(self._signed) + len(self._open)
        if len(self._open) >= limits.MAX_OPEN_BALLOTS or kept >= limits.MAX_KEPT_BALLOTS:
            self._around.refuse(ticket, "this node takes part in too many votes")
            return
        closes_at = now + proposal.closes_ms / 1_000
        people = list(people_of(proposal))
        question = _Question(ticket, proposal, closes_at, people)
        self._open[proposal.pid] = question
        self._examine(question, now)

    def _examine(self, question: _Question, now: Seconds) -> None:
        """Verify credentials, a portion at a time; then ask the user's voter."""
        trust = self._around.trust
        budget = trust.signatures_checked + limits.SIGNATURES_PER_INPUT - limits.MAX_BLOCKS
        try:
            while question.unexamined:
                if trust.signatures_checked > budget:
                    self._around.deadlines.call_at(
                        now + _PAUSE, lambda later: self._examine(question, later)
                    )
                    return
                check_credential(
                    question.unexamined.pop(),
                    question.proposal,
                    lambda chain: trust.verify_chain_untrusted(chain, question.proposal.wall),
                )
        except (WireError, CredentialError) as error:
            self._give_up(question, f"not a vote of members: {error}")
            return
        self._think(question, now)

    def _think(self, question: _Question, now: Seconds) -> None:
        proposal = question.proposal
        call = VoteCall(
            question=proposal.question,
            options=proposal.options,
            caller=proposal.caller.name,
            method=proposal.method,
            closes_in=max(0.0, question.closes_at - now),
        )
        self._around.run(
            "?vote",
            codec.pack(call.to_body()),
            question.closes_at,
            proposal.caller.id,
            lambda status, body, _: self._decide(question, status, body),
        )

    def _decide(self, question: _Question, status: int, body: bytes) -> None:
        """The voter has answered: sign that, once and for all."""
        if status != OK:  # nothing was signed, so it may be asked again
            self._give_up(question, "this node's voter failed")
            return
        proposal = question.proposal
        try:
            choice, confidence_ppm, rationale = read_decision(body, proposal.options)
        except WireError as error:
            self._give_up(question, f"this node's voter answered something else: {error}")
            return
        identity = self._around.identity
        statement = CastBallot(
            pid=proposal.pid,
            elector=identity.node_id,
            journal_id=identity.journal_id,
            choice=choice,
            confidence_ppm=confidence_ppm,
            rationale=rationale,
        ).sign(self._around.crypto, identity.node_private, identity.keys.group_id)
        self._signed[proposal.pid] = (proposal.wall, statement)
        del self._open[proposal.pid]
        self._send_signed(question.ticket, proposal.pid)

    def _send_signed(self, ticket: int, pid: bytes) -> None:
        """Answer with the ballot of this vote, once it is on disk."""
        wall, statement = self._signed[pid]
        if pid in self._on_disk:
            self._around.answer(ticket, statement)
            return

        def then(ok: bool, _now: Seconds) -> None:  # noqa: FBT001  # called by position
            if ok:
                self._on_disk.add(pid)
                self._around.answer(ticket, statement)
            else:
                self._around.refuse(ticket, "the ballot could not be written to disk")

        self._around.persist(Record(BALLOTS, pid, codec.pack([FORMAT, wall, statement])), then=then)

    def _give_up(self, question: _Question, reason: str) -> None:
        del self._open[question.proposal.pid]
        self._around.refuse(question.ticket, reason)

    def _forget_old(self, unix: float) -> None:
        """Let go of ballots whose call would be refused for its age, and remember that age."""
        if unix < self._tidy_at:
            return
        self._tidy_at = unix + _TIDY_INTERVAL
        oldest_kept = unix - 2 * self._around.config.ballot_skew
        old = [pid for pid in self._on_disk if self._signed[pid][0] < oldest_kept]
        if not old:
            return
        self._floor = max(self._floor, *(self._signed[pid][0] for pid in old))
        for pid in old:
            del self._signed[pid]
            self._on_disk.discard(pid)
        floor = Record(FLOOR, b"", codec.pack([FORMAT, self._floor, b""]))
        self._around.persist(floor, *(Record(BALLOTS, pid, None) for pid in old))


def read_decision(body: bytes, options: Sequence[str]) -> tuple[tuple[int, ...], int, str]:
    """What the user's voter answered, as choice, confidence and rationale.

    The body is nil to abstain, else [option, confidence_ppm, rationale]; the last two
    may be missing.

    Raises:
        WireError: It is something else, or an option that was not on offer.
    """
    value = codec.unpack_untrusted(body)
    if value is None:
        return (), PPM, ""
    if type(value) is not list:
        raise WireError("neither nil nor a list")
    fields = Fields(value)
    option = fields.text(limits.MAX_OPTION)
    if option not in options:
        raise WireError(f"{option!r} is not among the options")
    confidence_ppm = fields.integer(0, PPM) if fields.left else PPM
    rationale = fields.text(limits.MAX_RATIONALE) if fields.left else ""
    return (list(options).index(option),), confidence_ppm, rationale


def _read_slot(value: bytes) -> tuple[int, bytes]:
    try:
        fields = Fields(codec.unpack_list_untrusted(value, at_least=3))
        fields.integer(FORMAT, FORMAT)
        return fields.integer(), fields.octets_up_to(limits.MAX_SIGNED)
    except WireError as error:
        raise StateUnusable(f"the journal's ballots are damaged: {error}") from error
