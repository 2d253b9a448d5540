"""Auctions and votes on this engine's calls, handlers and journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from meshp2p.consensus import (
    METHODS,
    Answer,
    Ask,
    Elector,
    Finished,
    Participant,
    Policy,
    Run,
)
from meshp2p.consensus.scoring import Score
from meshp2p.consensus.surroundings import REFUSED
from meshp2p.effects import Announce, CancelInvoke, Invoke, Persist
from meshp2p.engine.answers import Answers
from meshp2p.engine.calls import Calls
from meshp2p.engine.core import Core
from meshp2p.engine.rations import Reply
from meshp2p.errors import MeshError, NoBids, Overloaded, Unreachable, UsageError, WireError
from meshp2p.events import CallFinished
from meshp2p.gossip.swim import Swim
from meshp2p.identity.node import NodeIdentity
from meshp2p.ids import NodeId, Seconds, matches, show_id
from meshp2p.messaging.deadlines import Deadlines
from meshp2p.messaging.requests import Request, closed_error, make_head
from meshp2p.messaging.resolver import Target
from meshp2p.messaging.serving import Serving
from meshp2p.wire import codec, limits, messages
from meshp2p.wire.messages import ResponseHead, pack_error

_BID: Final = "?bid"
_NO_BID: Final = codec.pack(None)
_GUEST: Final = b"a guest takes part in nothing"
_WORDS: Final = {
    messages.DEADLINE: ("DeadlineExceeded", "its handler did not return in time"),
    messages.OVERLOADED: ("Overloaded", "all its slots are taken"),
    messages.CLOSING: ("Closed", "it is stopping"),
    messages.REFUSED: ("Refused", "it did not begin"),
}
"""For answers whose status says it all, told to the owner of an award."""


@attrs.frozen(kw_only=True)
class AuctionRules:
    """How work is auctioned; `consensus.auction` explains each."""

    close_after: Seconds
    deadline: Seconds
    at_most: int = 8
    policy: Policy | None = None
    score: Score | None = None
    budget: int = 0
    reserve: int = 0
    key: str = ""


@attrs.frozen(kw_only=True)
class VoteRules:
    """How a vote is counted; `consensus.vote` explains each."""

    closes_in: Seconds
    among: str = "*"
    quorum_ppm: int = 0
    threshold_ppm: int | None = None
    faulty: int | None = None
    method: str = "plurality"


class Coordination:
    """Joins the consensus machines to the rest of the engine."""

    def __init__(
        self,
        core: Core,
        calls: Calls,
        swim: Swim,
        answers: Answers,
        stored: Mapping[tuple[str, bytes], bytes],
        serving: Serving,
    ) -> None:
        """Go on with the promises that the journal holds."""
        self._core = core
        self._calls = calls
        self._swim = swim
        self._serving = serving
        self._thinking = Deadlines(core.board)
        self._participant = Participant(
            core.config,
            core.identity,
            core.trust,
            core.crypto,
            core.entropy,
            core.next_number,
            stored,
            self._credential_of,
            handle_of=swim.handle_of,
            load=lambda: serving.load,
            board=core.board,
        )
        self._tickets: dict[int, Reply] = {}
        self._closed = False
        for method in METHODS:
            self._register(answers, method)

    def _register(self, answers: Answers, method: str) -> None:
        def own(peer: NodeId, body: bytes, reply: Reply, now: Seconds) -> None:
            if self._core.guest:  # nobody honest asks it; others would have it work for them
                reply(messages.OK, codec.pack([REFUSED, _GUEST]))
                return
            ticket = self._core.next_number()
            self._tickets[ticket] = reply
            unix = self._core.unix(now)
            self._participant.receive_ask(ticket, peer, method, body, now=now, unix=unix)
            self._drain(now)

        answers.register(method, own)

    def _credential_of(self, node: NodeId) -> tuple[bytes, bytes] | None:
        body, chain = self._swim.body_of(node), self._swim.chain_of(node)
        return None if body is None or chain is None else (body.node_key, chain)

    # --- commands --------------------------------------------------------------

    def hold(self, capability: str, body: bytes, rules: AuctionRules, *, now: Seconds) -> int:
        """Auction a call off; `CallFinished` brings `AwardData`, later `AwardResult`.

        Raises:
            UsageError: Such an auction cannot be.
            NoBids: Nobody is there to be asked.
            Closed: The node stops.
        """
        self._core.now = now
        self._check_open()
        candidates = list(self._swim.directory.find(capability, callable_only=True))
        if not candidates:
            raise NoBids(capability, 0, 0)
        self._core.rng.shuffle(candidates)
        candidates.sort(key=lambda node: self._calls.load_of(node) or 0)
        number = self._core.next_number()
        self._participant.auctions.hold(
            number,
            capability,
            body,
            candidates,
            now=now,
            unix=self._core.unix(now),
            **attrs.asdict(rules, recurse=False),
        )
        self._drain(now)
        return number

    def call_vote(
        self, question: str, options: Sequence[str], rules: VoteRules, *, now: Seconds
    ) -> int:
        """Call a vote; `CallFinished` brings `VoteResult` or `Undecided`.

        Raises:
            UsageError: Such a vote cannot be.
            Closed: The node stops.
        """
        self._core.now = now
        self._check_open()
        number = self._core.next_number()
        keywords = attrs.asdict(rules, recurse=False)
        if rules.threshold_ppm is None:
            del keywords["threshold_ppm"]
        self._participant.votes.call(
            number,
            question,
            options,
            self._electorate(rules.among),
            now=now,
            unix=self._core.unix(now),
            **keywords,
        )
        self._drain(now)
        return number

    def _check_open(self) -> None:
        if self._closed:
            raise closed_error()

    def _electorate(self, among: str) -> list[Elector]:
        """The alive members that announce something that fits the pattern, as they are now."""
        electors: list[Elector] = []
        for member in self._swim.members():
            fits = among == "*" or any(matches(among, info.name) for info in member.capabilities)
            body, chain = self._swim.body_of(member.id), self._swim.chain_of(member.id)
            if not fits or member.state != "alive" or body is None or chain is None:
                continue
            electors.append(
                Elector(
                    node_key=body.node_key,
                    journal_id=body.journal_id,
                    chain=chain,
                    handle=member.handle,
                )
            )
        if not electors:
            raise UsageError(f"among={among!r}: no alive member announces anything that fits it")
        if len(electors) > limits.MAX_ELECTORS:
            raise UsageError(
                f"among={among!r}: {len(electors)} members fit; at most {limits.MAX_ELECTORS} vote"
            )
        return electors

    def renew_identity(self, identity: NodeIdentity) -> None:
        """Sign with the same key, and show a fresh chain."""
        self._participant.renew_identity(identity)

    def cancel(self, number: int, *, now: Seconds) -> None:
        """The user waits no more; what was promised to others stands."""
        self._participant.cancel(number)
        self._drain(now)

    # --- inputs ----------------------------------------------------------------

    def receive_persisted(self, token: int, *, ok: bool, now: Seconds) -> None:
        """Records are on disk, or never will be."""
        self._participant.receive_persisted(token, ok=ok, now=now)
        self._drain(now)

    def receive_outcome(self, number: int, status: int, body: bytes, *, now: Seconds) -> None:
        """A handler returned."""
        self._thinking.discard(number)
        self._participant.receive_outcome(number, status, body, now=now)
        self._drain(now)

    def member_lost(self, node: NodeId, *, now: Seconds) -> None:
        """A member failed or left."""
        self._participant.member_lost(node)
        self._drain(now)

    def next_deadline(self) -> Seconds:
        """When `receive_deadline` has something to do."""
        return min(self._thinking.soonest, self._participant.next_deadline())

    def receive_deadline(self, *, now: Seconds) -> None:
        """Auctions and votes close, awards time out, bidders and voters that hang are left."""
        for number in self._thinking.pop_due(now):
            self._core.emit(CancelInvoke(number))
            late = pack_error(*_WORDS[messages.DEADLINE], None)
            self.receive_outcome(number, messages.REMOTE_ERROR, late, now=now)
        self._participant.receive_deadline(now=now)
        self._drain(now)

    def want_no_more(self, *, now: Seconds) -> None:
        """The node stops: its auctions and votes end; those of others are still answered."""
        self._closed = True
        self._participant.close(closed_error())
        self._drain(now)

    def close(self, *, now: Seconds) -> None:
        """The node has stopped."""
        self._tickets.clear()
        self._drain(now)

    # --- outputs ---------------------------------------------------------------

    def _drain(self, now: Seconds) -> None:
        while outputs := self._participant.outputs():
            for output in outputs:
                match output:
                    case Persist():
                        self._core.emit(output)
                    case Ask():
                        self._ask(output, now)
                    case Run():
                        self._run(output, now)
                    case Answer(ticket=ticket, status=status, body=body):
                        reply = self._tickets.pop(ticket, None)
                        if reply is not None:
                            reply(messages.OK, codec.pack([status, body]))
                    case Finished(number=number, value=value, error=error):
                        self._core.emit(Announce(CallFinished(number, value, error)))

    def _ask(self, ask: Ask, now: Seconds) -> None:
        def done(_request: Request, body: bytes, error: MeshError | None, now: Seconds) -> None:
            # Who has no room for it will not answer it any more than who is gone.
            status, answer, lost = None, b"", isinstance(error, Unreachable | Overloaded)
            if error is None:
                try:
                    match codec.unpack_list_untrusted(body, 2):
                        case [int(number), bytes(inner), *_]:
                            status, answer = number, inner
                except WireError:
                    self._core.counters["answer_malformed"] += 1
            self._participant.receive_answer(ask.token, status, answer, lost=lost, now=now)
            self._drain(now)

        target = Target(f"#{show_id(ask.to)}", ask.method, id=ask.to)
        self._calls.start(target, ask.body, timeout=ask.timeout, done=done, now=now, retry=False)

    def _run(self, run: Run, now: Seconds) -> None:
        """Awarded work takes a slot as any call; what bids or votes has its own deadline."""
        key, token = run.context.get("key", ""), run.context.get("token", 0)
        head = make_head(
            self._core.rng,
            run.method,
            remaining=run.deadline - now,
            cause=None,
            own_id=run.caller,
            key=key if isinstance(key, str) else "",
        )
        handle = self._swim.handle_of(run.caller)
        if run.method == _BID and self._serving.draining:  # whoever drains wants no new work
            self.receive_outcome(run.number, messages.OK, _NO_BID, now=now)
            return
        if run.method.startswith("?"):
            self._thinking.set(run.number, run.deadline)
            self._core.emit(
                Invoke(run.number, run.method, run.body, run.deadline, run.caller, handle, head)
            )
            return

        def reply(answer: ResponseHead, body: bytes) -> None:
            status = answer.status
            if status != messages.OK and not body:
                body = pack_error(*_WORDS.get(status, _WORDS[messages.REFUSED]), None)
            self.receive_outcome(run.number, status, body, now=self._core.now)

        self._serving.take(
            head,
            run.body,
            caller=run.caller,
            caller_handle=handle,
            reply=reply,
            now=now,
            token=token if isinstance(token, int) else 0,
        )
