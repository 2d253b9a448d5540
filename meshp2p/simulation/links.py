"""What lies between nodes: delay, loss, copies, cuts, and packets that are held.

A link is one direction, named (from, to). Every draw is keyed by the link and the number
of the packet on it, so that removing one fault leaves the fate of other packets alone.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Final, TypeAlias

import attrs

from meshp2p.ids import Seconds
from meshp2p.simulation.dice import between, chance

Link: TypeAlias = tuple[str, str]
"""Names of sender and receiver."""

Deliver: TypeAlias = Callable[[], None]

_RESEND: Final[Seconds] = 0.2
"""Linux's shortest pause before TCP sends a segment again; doubles."""
_MOST_RESENDS: Final = 6


@attrs.frozen(kw_only=True)
class Conditions:
    """How a link treats packets.

    Args:
        delay: Shortest and longest way; every length between is as likely.
        loss: Share of datagrams lost; segments of streams are sent again instead.
        duplicate: Share of datagrams that arrive twice.
    """

    delay: tuple[Seconds, Seconds] = (0.0002, 0.002)
    loss: float = 0.0
    duplicate: float = 0.0


@attrs.define(eq=False)
class Lane:
    """One direction of one stream: what was sent later arrives later."""

    link: Link
    free_at: Seconds = 0.0


class Links:
    """All links of a world.

    Args:
        after: `after(seconds, act)` does something later.
        clock: The moment now.
    """

    def __init__(
        self, seed: int, after: Callable[[Seconds, Deliver], None], clock: Callable[[], Seconds]
    ) -> None:
        """Links are good until told otherwise."""
        self.usual = Conditions()
        self._seed = seed
        self._after = after
        self._clock = clock
        self._special: dict[Link, Conditions] = {}
        self._sent: Counter[Link] = Counter()
        self._cut: set[Link] = set()
        self._held: Counter[Link] = Counter()
        self._waiting: defaultdict[Link, list[Deliver]] = defaultdict(list)
        self.lost = 0

    # --- faults --------------------------------------------------------------

    def set(self, link: Link, conditions: Conditions) -> None:
        """Treat one link in its own way."""
        self._special[link] = conditions

    def cut(self, link: Link) -> None:
        """Lose all datagrams of a link; streams wait, as TCP does."""
        self._cut.add(link)

    def mend(self, link: Link) -> None:
        """Undo `cut`."""
        self._cut.discard(link)
        self._let_go(link)

    def mend_all(self) -> None:
        """Undo all cuts and all special conditions."""
        self._special.clear()
        for link in sorted(self._cut):
            self.mend(link)

    def hold(self, link: Link) -> None:
        """Keep everything that is sent until `release`; holds nest."""
        self._held[link] += 1

    def release(self, link: Link) -> None:
        """Undo one `hold`; what was kept goes on its way, in its order."""
        self._held[link] -= 1
        self._let_go(link)

    def is_cut(self, link: Link) -> bool:
        """Whether datagrams of the link are lost."""
        return link in self._cut

    def _blocks(self, link: Link) -> bool:
        return link in self._cut or self._held[link] > 0

    def _let_go(self, link: Link) -> None:
        if self._blocks(link):
            return
        waiting = self._waiting.pop(link, [])
        for send in waiting:
            send()

    # --- traffic -------------------------------------------------------------

    def send_datagram(self, link: Link, deliver: Deliver) -> None:
        """Perhaps deliver, perhaps twice, after the link's delay."""
        self._sent[link] += 1
        number = self._sent[link]
        conditions = self._conditions(link)
        if link in self._cut or chance(self._seed, link, number, "loss") < conditions.loss:
            self.lost += 1
            return
        if self._held[link]:
            self._waiting[link].append(lambda: self._after(self._way(link, number), deliver))
            return
        self._after(self._way(link, number), deliver)
        if chance(self._seed, link, number, "twice") < conditions.duplicate:
            self._after(10 * self._way(link, number), deliver)

    def send_in_order(self, lane: Lane, deliver: Deliver) -> None:
        """Deliver certainly, after everything that was sent on the lane before."""
        link = lane.link
        if self._blocks(link):
            self._waiting[link].append(lambda: self.send_in_order(lane, deliver))
            return
        self._sent[link] += 1
        number = self._sent[link]
        now = self._clock()
        way = self._way(link, number)
        loss = self._conditions(link).loss
        for resend in range(_MOST_RESENDS):
            if chance(self._seed, link, number, "loss", resend) >= loss:
                break
            way += _RESEND * 2**resend
        lane.free_at = max(lane.free_at, now + way)
        self._after(lane.free_at - now, deliver)

    def _conditions(self, link: Link) -> Conditions:
        return self._special.get(link, self.usual)

    def _way(self, link: Link, number: int) -> Seconds:
        return between(*self._conditions(link).delay, self._seed, link, number, "delay")
