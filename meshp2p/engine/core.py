"""What the parts of one engine share: identity, dice, effects, numbers, counters."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Final

from meshp2p.config import Config
from meshp2p.effects import (
    Announce,
    CloseStream,
    Effect,
    OpenStream,
    SendDatagram,
    StreamReady,
)
from meshp2p.events import Log
from meshp2p.identity.keys import Crypto
from meshp2p.identity.node import NodeIdentity
from meshp2p.identity.trust import Trust
from meshp2p.ids import Seconds
from meshp2p.wire import limits

_NETWORK: Final = (SendDatagram, OpenStream, CloseStream, StreamReady)
"""By these something leaves the node."""


class Core:
    """One node's constants and its outgoing effects."""

    def __init__(  # noqa: PLR0913  # what an engine is given at construction
        self,
        *,
        config: Config,
        identity: NodeIdentity,
        trust: Trust,
        crypto: Crypto,
        rng: random.Random,
        entropy: Callable[[int], bytes],
        guest: bool,
        unix: float,
        now: Seconds,
    ) -> None:
        """Nothing has happened yet."""
        self.config = config
        self.identity = identity
        self.trust = trust
        self.crypto = crypto
        self.rng = rng
        self.entropy = entropy
        self.guest = guest
        self.wall_offset = unix - now
        self.now = now
        """Of the input being handled; for answers that come of it later."""
        self.counters: Counter[str] = Counter()
        self.board: list[Seconds] = []
        """Deadlines of requests of all kinds, side by side; see `Deadlines`."""
        self._effects: list[Effect] = []
        self._held: list[Effect] | None = None
        """Nothing leaves this node yet; what would have, in its order."""
        self._number = 0

    def emit(self, effect: Effect) -> None:
        """Ask the world for something."""
        self._effects.append(effect)

    def take_effects(self) -> list[Effect]:
        """All that was asked for since the last time, in order."""
        effects, self._effects = self._effects, []
        return effects if self._held is None else self._without_network(effects, self._held)

    @property
    def is_held_back(self) -> bool:
        """Whether nothing may leave this node yet."""
        return self._held is not None

    def hold_back(self) -> None:
        """Let nothing leave until `let_go`."""
        self._held = []

    def let_go(self) -> None:
        """Let everything leave that was held back, and whatever comes."""
        if self._held is not None:
            self._effects, self._held = self._held + self._effects, None

    @staticmethod
    def _without_network(effects: list[Effect], held: list[Effect]) -> list[Effect]:
        others: list[Effect] = []
        for effect in effects:
            if not isinstance(effect, _NETWORK):
                others.append(effect)
            elif len(held) < limits.MAX_HELD_BACK or not isinstance(effect, SendDatagram):
                held.append(effect)
        return others

    def next_number(self) -> int:
        """A number that this engine has not used: for calls, tokens and timers alike."""
        self._number += 1
        return self._number

    def unix(self, now: Seconds) -> float:
        """Wall time in seconds, as last heard."""
        return now + self.wall_offset

    def log(self, level: str, text: str, **fields: object) -> None:
        """Say something to whoever reads the log."""
        self.emit(Announce(Log(level, text, tuple(fields.items()))))  # type: ignore[arg-type]
