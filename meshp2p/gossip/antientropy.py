"""When two views differ for too long, a full sync mends them."""

from __future__ import annotations

from random import Random
from typing import Final

import attrs

from meshp2p.config import Config
from meshp2p.ids import NodeId, Seconds

_JITTER: Final = 0.5
"""Part of a pause that is left to chance, so that a crowd does not sync in step."""
_TOO_LONG: Final = 2.0
"""Patiences after which a difference that keeps changing is mended all the same."""
_MAX_FACTOR: Final = 16.0
"""Patience grows up to so many times while syncs with equals bring nothing."""
_NEWS_TAKES: Final = 2.0
"""Rounds of gossip in which news reaches a small mesh."""
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
    again after `sync_patience`, and synced with only if the difference is still there.
    A node that has only just come knows that it knows little, and is less patient.

    Args:
        _born: When this node started.
    """

    config: Config
    rng: Random
    _born: Seconds
    _doubt: _Doubt | None = attrs.field(default=None, init=False)
    _not_before: Seconds = attrs.field(default=0.0, init=False)
    _factor: float = attrs.field(default=1.0, init=False)
    _last: tuple[int, int] | None = attrs.field(default=None, init=False)

    @property
    def ask_at(self) -> Seconds | None:
        """When the doubted peer is to be pinged again; None without a doubt."""
        return self._doubt.ask_at if self._doubt else None

    def whom_to_ask(self, now: Seconds) -> NodeId | None:
        """The doubted peer, if it is time to ask it again. A silent one is left alone."""
        doubt = self._doubt
        if doubt is None or now < doubt.ask_at:
            return None
        doubt.asked += 1
        doubt.ask_at = now + self._pause(now)
        if doubt.asked > _REPEATS:
            self._doubt = None
            return None
        return doubt.peer

    def recheck(self, peer: NodeId, now: Seconds) -> None:
        """After the first sync: many may have come meanwhile, so ask the same peer again."""
        self._doubt = _Doubt(peer, None, now, now + self._pause(now))

    def observe(self, peer: NodeId, *, theirs: int, ours: int, now: Seconds) -> bool:
        """Compare two view hashes; True if it is time for a full sync with the peer."""
        doubt = self._doubt
        if theirs == ours:
            self._factor, self._last = 1.0, None
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

    def _begin_sync(self, theirs: int, ours: int, now: Seconds) -> None:
        self._doubt = None
        fruitless = self._last == (theirs, ours)
        self._factor = min(2 * self._factor, _MAX_FACTOR) if fruitless else 1.0
        self._last = (theirs, ours)
        self._not_before = now + self.config.sync_interval * self._chance()

    def _patience(self, now: Seconds) -> Seconds:
        """As configured, for a newcomer less: half its age, but time for news to arrive."""
        young = max(_NEWS_TAKES * self.config.gossip_interval, (now - self._born) / 2)
        return min(self.config.sync_patience, young) * self._factor

    def _pause(self, now: Seconds) -> Seconds:
        return self._patience(now) * self._chance()

    def _chance(self) -> float:
        return 1.0 + _JITTER * self.rng.random()
