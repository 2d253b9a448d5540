"""How much a peer may ask of this node in the mesh's own language: one budget for everything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final, TypeAlias

from meshp2p.ids import NodeId, Seconds
from meshp2p.wire import limits, messages
from meshp2p.wire.budget import Budgets
from meshp2p.wire.messages import pack_error

Reply: TypeAlias = Callable[[int, bytes], None]
"""Answer with a status and a body."""

Own: TypeAlias = Callable[[NodeId, bytes, Reply, Seconds], None]
"""A request of the mesh itself: from whom, its body, how to answer. May raise WireError."""

_TO_READ: Final = 4
"""What a byte of a question costs: it is read and compared one by one; answers are packed once
for all who ask."""


class Rations:
    """Counts what each peer makes this node do, in bytes, and refuses what is too much.

    Questions cost their asker nothing: without a bound one that asks in a loop would make
    this node read, compare and send for ever. A question has a price, whatever becomes of it;
    its bytes and those of the answer are added. Who has spent all is told so before its
    question is unpacked, and time pays its debts.
    """

    def __init__(self, counters: Counter[str]) -> None:
        """Count refusals as `lists_refused`."""
        self._counters = counters
        self._budgets = Budgets(limits.LISTS_AT_ONCE, limits.LISTS_PER_SECOND, limits.MAX_BUDGETS)

    def rationed(self, price: int, own: Own) -> Own:
        """The same, for whoever has something left; each question costs `price` and its bytes."""

        def answer(peer: NodeId, body: bytes, reply: Reply, now: Seconds) -> None:
            if not self._budgets.allows(peer, now):
                self._refuse(peer, reply, now)
                return
            self._budgets.charge(peer, price + _TO_READ * len(body), now)

            def give(status: int, answer: bytes) -> None:
                self._budgets.charge(peer, len(answer), now)
                reply(status, answer)

            own(peer, body, give, now)

        return answer

    def _refuse(self, peer: NodeId, reply: Reply, now: Seconds) -> None:
        self._budgets.charge(peer, 0, now)  # it is remembered for as long as it goes on
        self._counters["lists_refused"] += 1
        text = (
            f"you have asked for {limits.LISTS_AT_ONCE} bytes and more;"
            f" {limits.LISTS_PER_SECOND} are given in a second: ask later, or somebody else"
        )
        reply(messages.REFUSED, pack_error("Busy", text, None))
