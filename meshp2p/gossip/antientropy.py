"""When two views differ for too long, they are compared, and mended."""

from __future__ import annotations

from random import Random
from typing import Final

import attrs

from meshp2p.config import Config
from meshp2p.gossip.pool import Pool
from meshp2p.ids import NodeId, Seconds

_JITTER: Final = 0.5
"""Part of a pause that is left to chance, so that a crowd does not sync in step."""
_TOO_LONG: Final = 2.0
"""Patiences after which a difference that keeps changing is mended all the same."""
_MAX_FACTOR: Final = 16.0
"""Patience grows up to so many times while comparing brings nothing."""
_NEWS_TAKES: Final = 0.5
"""Rounds of gossip that a newcomer waits before it asks again: whoever came with it is
known to its first peer by then, and gossip would take several."""
_REPEATS: Final = 4
"""Questions to a silent peer about its view before it is left alone."""


@attrs.define
class _Doubt:
    """One peer whose view differs from ours: `hashes` are (theirs, ours), None if unseen."""

    peer: NodeId
    hashes: tuple[int, int] | None
    since: Seconds
    ask_at: Seconds
    asked: int = 0


@attrs.define
class AntiEntropy:
    """Watches the view hashes that pings and acks carry.

    Hashes differ all the time while news travels. So one peer at a time is doubted, asked
    again after `sync_patience`, and compared with only if the difference is still there.
    Where comparing brought nothing, a full sync takes its turn: sums and short entries could
    lie.

    A newcomer knows that it knows little, and that others came with it. It has no patience:
    it asks the one that greeted it, and anybody, in turn, at pauses that grow with its age,
    and compares whenever there is a difference.

    Args:
        _born: When this node started.
    """

    config: Config
    rng: Random
    _born: Seconds
    _doubt: _Doubt | None = attrs.field(default=None, init=False)
    _greeter: NodeId | None = attrs.field(default=None, init=False)
    _not_before: Seconds = attrs.field(default=0.0, init=False)
    _factor: float = attrs.field(default=1.0, init=False)
    _last: tuple[int, int] | None = attrs.field(default=None, init=False)
    _in_vain: int = attrs.field(default=0, init=False)

    @property
    def wants_everything(self) -> bool:
        """Whether a full sync should mend the difference that `observe` just reported."""
        return self._in_vain % 2 == 1

    @property
    def ask_at(self) -> Seconds | None:
        """When the doubted peer is to be pinged again; None without a doubt."""
        return self._doubt.ask_at if self._doubt else None

    def whom_to_ask(self, live: Pool, now: Seconds) -> NodeId | None:
        """The doubted peer, if it is time to ask it again. A silent one is left alone."""
        doubt = self._doubt
        if doubt is None or now < doubt.ask_at:
            return None
        if self._is_young(now):
            return self._next_for_a_newcomer(doubt, live, now)
        doubt.asked += 1
        doubt.ask_at = now + self._pause(now)
        if doubt.asked > _REPEATS:
            self._doubt = None
            return None
        return doubt.peer

    def _next_for_a_newcomer(self, doubt: _Doubt, live: Pool, now: Seconds) -> NodeId:
        doubt.ask_at = now + self._pause(now)
        asked, others = doubt.peer, live.sample(self.rng, 1)
        came_back = self._greeter in (None, asked)
        doubt.peer = others[0] if others and came_back else self._greeter or asked
        return asked

    def greeted(self, peer: NodeId, now: Seconds) -> None:
        """Many may have come meanwhile: ask soon whether anything is new."""
        self._greeter = peer
        self._doubt = _Doubt(peer, None, now, now + self._pause(now))

    def observe(self, peer: NodeId, *, theirs: int, ours: int, now: Seconds) -> bool:
        """Compare two view hashes; True if it is time to find out where the views differ."""
        if self._is_young(now):
            return self._observe_at_once(theirs, ours, now)
        doubt = self._doubt
        if theirs == ours:
            self._factor, self._last, self._in_vain = 1.0, None, 0
            if doubt is not None and doubt.peer == peer:
                self._doubt = None
            return False
        if doubt is None:
            self._doubt = _Doubt(peer, (theirs, ours), now, now + self._pause(now))
            return False
        if doubt.peer != peer or now < doubt.since + self._patience(now):
            return False
        still = doubt.hashes in (None, (theirs, ours))
        too_long = now >= doubt.since + _TOO_LONG * self._patience(now)
        if (still or too_long) and now >= self._not_before:
            self._begin_sync(theirs, ours, now)
            return True
        doubt.hashes = (theirs, ours)
        doubt.ask_at = max(now, self._not_before) + self._pause(now)
        return False

    def _observe_at_once(self, theirs: int, ours: int, now: Seconds) -> bool:
        if theirs == ours or now < self._not_before:
            return False
        self._not_before = now + self._pause(now) / 2
        return True

    def _begin_sync(self, theirs: int, ours: int, now: Seconds) -> None:
        self._doubt = None
        fruitless = self._last == (theirs, ours)
        self._factor = min(2 * self._factor, _MAX_FACTOR) if fruitless else 1.0
        self._in_vain = self._in_vain + 1 if fruitless else 0
        self._last = (theirs, ours)
        self._not_before = now + self.config.sync_interval * self._chance()

    def _is_young(self, now: Seconds) -> bool:
        return (now - self._born) / 2 < self.config.sync_patience

    def _patience(self, now: Seconds) -> Seconds:
        """As configured, for a newcomer less: half its age, but time for a few to arrive."""
        young = max(_NEWS_TAKES * self.config.gossip_interval, (now - self._born) / 2)
        return min(self.config.sync_patience, young) * self._factor

    def _pause(self, now: Seconds) -> Seconds:
        return self._patience(now) * self._chance()

    def _chance(self) -> float:
        return 1.0 + _JITTER * self.rng.random()
