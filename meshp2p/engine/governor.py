"""How many bytes a second a node sends, and which wait or are dropped when that is too many.

Membership goes by datagram, calls by stream; each has half of the budget, and what one
does not use the other may. Short of bytes, streams wait, and of datagrams those are
dropped that only carry news of others: full syncs mend what they would have told. Never
held up or dropped are probes, acks, what others asked to be passed on, and a node's word
that it is alive: late, they would cost somebody its good name.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Final

import attrs

from meshp2p.ids import Seconds

_BURST: Final[Seconds] = 1.0
"""What was not used within so long is lost."""
_QUIET: Final[Seconds] = 60.0
"""So long after it last bit, the next bite is told of again."""


@attrs.define
class Bucket:
    """Bytes that may be sent; sending more than there are is a debt.

    Args:
        rate: Bytes a second that come in; infinite for no limit.
        patience: A debt of more seconds than that is forgiven: whoever had to answer a
            flood must not be silent for long. Infinite where only its owner's wish sends.
        tokens: What is left. Whoever sends takes it from here, without asking.
    """

    rate: float
    patience: Seconds = inf
    tokens: float = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Begin full."""
        self.tokens = self.most

    @property
    def most(self) -> float:
        """All that it can hold."""
        return self.rate * _BURST

    @property
    def level(self) -> float:
        """Tokens, or what is owed of them, as a number below 0."""
        return max(-self.rate * self.patience, self.tokens)

    def fill(self, tokens: float) -> float:
        """Pour in; return what did not fit."""
        if self.rate == inf:
            return 0.0
        before = self.level
        self.tokens = min(self.most, before + tokens)
        return before + tokens - self.tokens


class Governor:
    """One node's budget, and what it has sent and received.

    Attributes:
        datagrams: Bucket of membership.
        streams: Bucket of calls and syncs.
        due: When streams that were held may be written; `inf` if there are none.

    What leaves and comes is counted by whoever sends and reads, without a call: that is
    done for every datagram.
    """

    def __init__(
        self,
        bytes_per_second: int | None,
        membership_bytes_per_second: int,
        *,
        now: Seconds,
        tell: Callable[[], None],
    ) -> None:
        """Nothing was sent yet.

        Args:
            bytes_per_second: For everything together; None for no limit.
            membership_bytes_per_second: For datagrams, if there is no limit for everything.
            tell: Called when the budget is spent: once, and again after a quiet minute.
        """
        if bytes_per_second is None:
            shares = (float(membership_bytes_per_second), inf)
        else:
            shares = (bytes_per_second / 2, bytes_per_second / 2)
        self.datagrams, self.streams = Bucket(shares[0], patience=_BURST), Bucket(shares[1])
        self.limits_streams = shares[1] < inf
        self.datagrams_sent = self.datagram_bytes_sent = 0
        self.datagrams_received = self.datagram_bytes_received = 0
        self.stream_bytes_sent = self.stream_bytes_received = 0
        self.due: Seconds = inf
        self._tell = tell
        self._news_dropped = self._streams_held = 0
        self._filled_at = now
        self._held: dict[int, None] = {}
        self._bit_at: Seconds = -inf
        self._open = False

    @property
    def counters(self) -> dict[str, int]:
        """What was sent, received, dropped and held up so far."""
        return {
            "datagrams_sent": self.datagrams_sent,
            "datagram_bytes_sent": self.datagram_bytes_sent,
            "datagrams_received": self.datagrams_received,
            "datagram_bytes_received": self.datagram_bytes_received,
            "stream_bytes_sent": self.stream_bytes_sent,
            "stream_bytes_received": self.stream_bytes_received,
            "news_dropped": self._news_dropped,
            "streams_held": self._streams_held,
        }

    def may_send_news(self, now: Seconds) -> bool:
        """Whether a datagram that only carries news of others may leave."""
        if self._may(self.datagrams, now):
            return True
        self._news_dropped += 1
        self._bite(now)
        return False

    def may_write(self, stream: int, now: Seconds) -> bool:
        """Whether a stream may be written; if not, it is among `released` later."""
        if not self.limits_streams or self._may(self.streams, now):
            return True
        self._streams_held += stream not in self._held
        self._held[stream] = None
        self.due = now + self._ready_in()
        self._bite(now)
        return False

    def let_go(self) -> list[int]:
        """The node stops: its last words are not held up. Return streams that were."""
        self._open = True
        self.due = inf
        held, self._held = list(self._held), {}
        return held

    def released(self, now: Seconds) -> list[int]:
        """Streams that may be written now."""
        if now < self.due:
            return []
        if not self._may(self.streams, now):
            self.due = now + self._ready_in()
            return []
        held, self._held = list(self._held), {}
        self.due = inf
        return held

    def _bite(self, now: Seconds) -> None:
        news = now - self._bit_at > _QUIET
        self._bit_at = now
        if news:
            self._tell()

    def _may(self, bucket: Bucket, now: Seconds) -> bool:
        if bucket.tokens <= 0:
            self._fill(now)
        return bucket.tokens > 0 or self._open

    def _ready_in(self) -> Seconds:
        """How long until streams may be written, if no datagram leaves meanwhile.

        Membership's share flows over as soon as its own bucket is full.
        """
        rate, missing = self.streams.rate, 1.0 - self.streams.level
        full_in = (self.datagrams.most - self.datagrams.level) / self.datagrams.rate
        alone = missing / rate
        return alone if alone <= full_in else full_in + (missing - rate * full_in) / (2 * rate)

    def _fill(self, now: Seconds) -> None:
        """Give each its half; what one cannot hold goes to the other."""
        passed = max(0.0, now - self._filled_at)
        self._filled_at = now
        for bucket, other in ((self.datagrams, self.streams), (self.streams, self.datagrams)):
            if bucket.rate < inf:
                over = bucket.fill(bucket.rate * passed)
                if other.rate < inf:
                    other.fill(over)
