"""How a newcomer learns who is there: a few members at once, all others from two of them."""

from __future__ import annotations

from collections import Counter
from typing import Final

import attrs

from meshp2p.gossip import digest
from meshp2p.gossip.antientropy import AntiEntropy
from meshp2p.gossip.fields import array, binary
from meshp2p.gossip.intake import Intake
from meshp2p.gossip.outputs import SyncWith
from meshp2p.gossip.parts import Parts
from meshp2p.ids import NodeId, Seconds
from meshp2p.wire.codec import Value

AT_ONCE: Final = 20
"""Members in the first answer, beside the one that gives it."""
_TRIES: Final = 4
"""Comparisons by stream that may fail before the newcomer makes do with what it knows: from
then on its view is mended as everybody's."""


@attrs.frozen
class Greeting:
    """The first answer to a newcomer.

    Args:
        sums: Of the answerer's whole view: they tell what is still missing.
        records: Of the answerer and some others, as a full sync lists them.
    """

    sums: bytes
    records: list[Value]

    def wire(self) -> list[Value]:
        """[sums (1,024 B), records]."""
        return [self.sums, self.records]

    @classmethod
    def from_untrusted(cls, value: Value) -> Greeting:
        """Read what `wire` wrote, or a later version of it.

        Raises:
            WireError: It is something else.
        """
        sums, records, *_ = array(value, "a greeting", at_least=2)
        return cls(
            binary(sums, "sums", exactly=digest.DIGEST_BYTES), array(records, "greeting's records")
        )


@attrs.define
class Welcome:
    """Both sides of a join.

    The first answer makes the newcomer usable; what is missing is then fetched in halves,
    from whoever answered and from one of those it named. Where one of the two does not
    deliver, the other is asked for its half too.
    """

    _parts: Parts
    _intake: Intake
    _entropy: AntiEntropy
    _fetching: Counter[NodeId] = attrs.field(factory=Counter, init=False)
    _failed: int = attrs.field(default=0, init=False)

    def greet(self) -> Greeting:
        """Answer a newcomer. Whoever is asked for a way in is no newcomer itself any more."""
        parts = self._parts
        parts.settled = parts.settled or not self._fetching
        drawn = parts.view.live.sample(parts.rng, AT_ONCE)
        rows = [parts.view.get(node_id) for node_id in (parts.identity.node_id, *drawn)]
        listed: list[Value] = [row.listed() for row in rows if row is not None]
        return Greeting(digest.pack_sums(parts.view.sums), listed)

    def begin(self, peer: NodeId, sums: bytes, now: Seconds) -> None:
        """The first members are known: fetch the others, as far as `sums` tell of any."""
        mask = digest.differing(self._parts.view.sums, sums)
        if self._parts.settled or self._fetching or not mask:
            self._settle(peer, now)
            return
        mine, others = digest.halves(mask)
        second = self._parts.view.live.sample(self._parts.rng, 1, but=peer)
        if not second or not others:
            self._fetch(peer, mask)
            return
        self._fetch(peer, mine)
        self._fetch(second[0], others)

    def ended(self, peer: NodeId, now: Seconds) -> None:
        """The peer's records of what was fetched are in the view."""
        if self._fetching[peer]:
            self._fetching[peer] -= 1
        self._fetching += Counter()  # forgets those with nothing open
        if not self._fetching:
            self._settle(peer, now)

    def failed(self, peer: NodeId, mask: int, now: Seconds) -> None:
        """The peer did not deliver: fetch its part from somebody else."""
        self._failed += 1
        others = [other for other in self._fetching if other != peer]
        others += self._parts.view.live.sample(self._parts.rng, 1, but=peer)
        if not self._parts.settled and others and self._failed <= _TRIES:
            self._fetch(others[0], mask)
        self.ended(peer, now)

    def _fetch(self, peer: NodeId, mask: int) -> None:
        self._fetching[peer] += 1
        self._parts.put(SyncWith(peer, mask))

    def _settle(self, peer: NodeId, now: Seconds) -> None:
        if self._intake.settle(peer):
            self._entropy.greeted(peer, now)
