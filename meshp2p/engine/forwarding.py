"""Passing datagrams on for others: so that who cannot be reached directly still may be.

What is passed on is sealed from end to end: a helper can neither read it nor lie about the
answer, it can only say that it heard none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from meshp2p.engine.core import Core
from meshp2p.gossip.messages import FORWARDED, Nack
from meshp2p.gossip.swim import Swim
from meshp2p.ids import NodeId, Seconds
from meshp2p.messaging.deadlines import Deadlines
from meshp2p.wire import codec, limits
from meshp2p.wire.budget import Budgets

_AT_ONCE: Final = 32
_PER_SECOND: Final = 16.0
"""For one member: several indirect probes a second, each with a handshake."""
_NACK_AFTER: Final = 0.8
"""Part of the time for an indirect ack, so that a nack comes before it ends (Lifeguard)."""


class Forwarding:
    """What this node passes on, and of which it has heard no answer yet."""

    def __init__(
        self, core: Core, swim: Swim, *, send: Callable[[NodeId, bytes, Seconds], None]
    ) -> None:
        """Seal and send with `send(to, plaintext, now)`."""
        self._core = core
        self._swim = swim
        self._send = send
        self._budgets = Budgets(_AT_ONCE, _PER_SECOND, limits.MAX_BUDGETS)
        self._awaited: dict[tuple[NodeId, NodeId], int] = {}
        self._asked: dict[int, tuple[NodeId, NodeId]] = {}
        self._deadlines = Deadlines(core.board)

    def receive(self, peer: NodeId, to: NodeId, datagram: bytes, now: Seconds) -> None:
        """Pass a datagram on. Only members are reached through us, no address somebody names."""
        if not self._swim.is_present(to) or to == self._core.identity.node_id:
            return
        wrapped = codec.pack([[FORWARDED, 0, peer, datagram]])
        if len(wrapped) > limits.MAX_PLAINTEXT:
            return
        if not self._budgets.spend(peer, now):
            self._core.counters["forwarding_refused"] += 1
            return
        self._core.counters["datagram_forwarded"] += 1
        if not self._is_answer(peer, to):
            self._await(peer, to, now)
        self._send(to, wrapped, now)

    def _is_answer(self, peer: NodeId, to: NodeId) -> bool:
        """Whether `to` asked for this one; then it needs no nack any more."""
        number = self._awaited.pop((to, peer), None)
        if number is None:
            return False
        self._asked.pop(number, None)
        self._deadlines.discard(number)
        return True

    def _await(self, origin: NodeId, target: NodeId, now: Seconds) -> None:
        if (origin, target) in self._awaited or len(self._awaited) >= limits.MAX_FORWARDED:
            return
        number = self._core.next_number()
        self._awaited[origin, target] = number
        self._asked[number] = (origin, target)
        self._deadlines.set(number, now + _NACK_AFTER * self._core.config.indirect_timeout)

    def next_deadline(self) -> Seconds:
        """When `receive_deadline` has something to do."""
        return self._deadlines.soonest

    def receive_deadline(self, *, now: Seconds) -> None:
        """Tell whoever asked that we hear it, though the target does not answer."""
        for number in self._deadlines.pop_due(now):
            origin, target = self._asked.pop(number)
            del self._awaited[origin, target]
            self._core.counters["nacks_sent"] += 1
            self._send(origin, codec.pack([Nack(target).wire()]), now)
