"""What auctions and votes ask of their engine, and how its answers find their way back.

Each machine of this package says what it wants together with what to do once the answer
is there. The only thing that leaves is data; what to do next stays here, under a number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

import attrs

from meshp2p.config import Config
from meshp2p.consensus.deadlines import Deadlines
from meshp2p.consensus.envelope import is_signed_by, sign
from meshp2p.effects import Persist, Record
from meshp2p.identity.keys import Crypto
from meshp2p.identity.node import NodeIdentity
from meshp2p.identity.trust import Trust
from meshp2p.ids import NodeId, Seconds, show_id
from meshp2p.wire.codec import Value

OK: Final = 0
"""Status of an answer or outcome: the body is what was asked for."""

REFUSED: Final = 1
"""Status of an answer: the body is the reason, UTF-8, for people."""

FAILED: Final = 1
"""Status of an outcome: the handler raised; the body is [type, message, traceback or nil]."""

_MAX_REASON: Final = 1_024


@attrs.frozen
class Ask:
    """Send an internal request; answer with `receive_answer(token)`.

    `to` may be this node itself: the engine hands it back through `receive_ask`.
    """

    token: int
    to: NodeId
    method: str
    body: bytes = attrs.field(repr=False)
    timeout: Seconds


@attrs.frozen
class Answer:
    """The reply to a `receive_ask`: status `OK`, or `REFUSED` with a reason as UTF-8."""

    ticket: int
    status: int
    body: bytes


@attrs.frozen
class Run:
    """Run a handler of this node; answer with `receive_outcome(number)`.

    Args:
        method: A capability, "?bid" or "?vote".
        body: Encoded arguments; of "?bid" and "?vote" `Offer.to_body`, `VoteCall.to_body`.
        deadline: On the node's monotonic clock.
        context: For the handler's Context: "token" is the fencing token of an award,
            "key" the task's id in hexadecimal.
    """

    number: int
    method: str
    body: bytes = attrs.field(repr=False)
    deadline: Seconds
    caller: NodeId
    context: Mapping[str, Value]


@attrs.frozen
class Finished:
    """A user's command, known by its number, has come to this end."""

    number: int
    value: object = None
    error: Exception | None = None


Output: TypeAlias = Ask | Answer | Persist | Run | Finished


@attrs.frozen
class Reply:
    """What became of an `Ask`.

    Args:
        status: As in `Answer`; None if no answer came.
        body: As in `Answer`.
        lost: The other side is gone, which is more than being late.
    """

    status: int | None
    body: bytes
    lost: bool

    @property
    def ok(self) -> bool:
        """Whether the body is what was asked for."""
        return self.status == OK

    @property
    def reason(self) -> str:
        """Why not, in words from the other side."""
        if self.status is None:
            return "it was lost" if self.lost else "no answer in time"
        return self.body[:_MAX_REASON].decode(errors="replace")


@attrs.define(kw_only=True, eq=False)
class Surroundings:
    """What one node's auctions and votes are given, and the list of what they want.

    Args:
        identity: May be replaced when its credential is renewed.
        entropy: As many unpredictable bytes as asked for.
        next_number: A number never given before, for asks, runs, records and results.
        credential_of: A member's node key and chain, as gossip has verified them.
        handle_of: A member's handle, empty if it has none or is unknown.
        load: Calls that this node is running now.
        deadlines: Of all of them.
    """

    config: Config
    identity: NodeIdentity
    trust: Trust
    crypto: Crypto
    entropy: Callable[[int], bytes]
    next_number: Callable[[], int]
    credential_of: Callable[[NodeId], tuple[bytes, bytes] | None]
    handle_of: Callable[[NodeId], str]
    load: Callable[[], int]
    deadlines: Deadlines
    _outputs: list[Output] = attrs.field(factory=list, init=False)
    _on_reply: dict[int, Callable[[Reply, Seconds], None]] = attrs.field(factory=dict, init=False)
    _on_persisted: dict[int, Callable[[bool, Seconds], None]] = attrs.field(
        factory=dict, init=False
    )
    _on_outcome: dict[int, Callable[[int, bytes, Seconds], None]] = attrs.field(
        factory=dict, init=False
    )

    def ask(
        self,
        to: NodeId,
        method: str,
        body: bytes,
        timeout: Seconds,
        then: Callable[[Reply, Seconds], None],
    ) -> None:
        """Ask a member, then go on with its reply."""
        token = self.next_number()
        self._on_reply[token] = then
        self._outputs.append(Ask(token, to, method, body, timeout))

    def persist(
        self, *records: Record, then: Callable[[bool, Seconds], None] | None = None
    ) -> None:
        """Write, then go on. What promises something is sent by `then`, never earlier."""
        token = self.next_number()
        if then is not None:
            self._on_persisted[token] = then
        self._outputs.append(Persist(token, records))

    def run(
        self,
        method: str,
        body: bytes,
        deadline: Seconds,
        caller: NodeId,
        then: Callable[[int, bytes, Seconds], None],
        *,
        context: Mapping[str, Value] | None = None,
    ) -> None:
        """Run a handler, then go on with its status and body."""
        number = self.next_number()
        self._on_outcome[number] = then
        self._outputs.append(Run(number, method, body, deadline, caller, context or {}))

    def answer(self, ticket: int, body: bytes) -> None:
        """Give what was asked for."""
        self._outputs.append(Answer(ticket, OK, body))

    def refuse(self, ticket: int, reason: str) -> None:
        """Give a reason instead."""
        self._outputs.append(Answer(ticket, REFUSED, reason.encode()[:_MAX_REASON]))

    def finish(self, number: int, value: object = None, error: Exception | None = None) -> None:
        """Tell the user."""
        self._outputs.append(Finished(number, value, error))

    def receive_answer(
        self, token: int, status: int | None, body: bytes, *, lost: bool, now: Seconds
    ) -> bool:
        """Hand a reply to whoever waits for it; False if nobody does."""
        then = self._on_reply.pop(token, None)
        if then is not None:
            then(Reply(status, body, lost), now)
        return then is not None

    def receive_persisted(self, token: int, *, ok: bool, now: Seconds) -> bool:
        """Go on with what waited for the disk; False if nothing did."""
        then = self._on_persisted.pop(token, None)
        if then is not None:
            then(ok, now)
        return then is not None

    def receive_outcome(self, number: int, status: int, body: bytes, *, now: Seconds) -> bool:
        """Go on with what waited for a handler; False if nothing did."""
        then = self._on_outcome.pop(number, None)
        if then is not None:
            then(status, body, now)
        return then is not None

    def outputs(self) -> list[Output]:
        """Everything wanted since the last call, in order."""
        drained, self._outputs = self._outputs, []
        return drained

    def key_of(self, member: NodeId) -> bytes | None:
        """A member's Ed25519 key, this node's included; None for strangers."""
        if member == self.identity.node_id:
            return self.identity.node_public
        known = self.credential_of(member)
        return known[0] if known else None

    def name_of(self, member: NodeId) -> str:
        """A member's handle, or the beginning of its id."""
        if member == self.identity.node_id and self.identity.handle:
            return self.identity.handle
        return self.handle_of(member) or show_id(member)[:8]

    def sign(self, kind: str, fields: list[Value]) -> bytes:
        """Make a statement of this node."""
        group_id = self.identity.keys.group_id
        return sign(self.crypto, self.identity.node_private, kind, group_id, fields)

    def is_signed_by(self, member: NodeId, kind: str, statement: bytes) -> bool:
        """Whether a member that is known here made the statement."""
        public = self.key_of(member)
        group_id = self.identity.keys.group_id
        return public is not None and is_signed_by(self.crypto, public, kind, group_id, statement)
