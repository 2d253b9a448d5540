"""INITs seen lately: a recorded one that is sent again must not cost an exchange of keys.

Whoever can see the wire can play back a handshake: its mac is right, and the address it
comes from may be a victim's. INITs go by their macs, which cover every byte of the message,
so that nobody can shut out somebody else's handshake by sending one that resembles it.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

import attrs

from meshp2p.errors import WireError
from meshp2p.ids import Seconds
from meshp2p.transport.budget import source_of
from meshp2p.transport.path import Path
from meshp2p.wire import limits
from meshp2p.wire.budget import Budgets

_AT_ONCE: Final = 256
_PER_SECOND: Final = 128.0
"""New INITs from one host: a crowd that starts on one machine passes, and whoever plays back
all that was ever recorded takes some 2 % of a core (one costs 120 us)."""
_ECHOES: Final = 16
"""Copies answered: more than the tries of one handshake, on all of its paths."""


@attrs.define
class _Seen:
    """One INIT: the number of the session that our answer offered, None if it drew none."""

    index: int | None = None
    echoes: int = 0


def _full_budgets() -> Budgets:
    return Budgets(_AT_ONCE, _PER_SECOND, limits.MAX_BUDGETS)


@attrs.define
class Copies:
    """Remembers the newest `limits.MAX_SEEN_INITS`, and what became of each."""

    _seen: OrderedDict[bytes, _Seen] = attrs.field(factory=OrderedDict, init=False)
    _budgets: Budgets = attrs.field(factory=_full_budgets, init=False)

    def is_new_untrusted(self, mac: bytes, path: Path, now: Seconds) -> bool:
        """Take an INIT in; False if it is a copy.

        Raises:
            WireError: It is new, and its host has begun too many.
        """
        if mac in self._seen:
            return False
        if not self._budgets.spend(source_of(path), now):
            raise WireError("more handshakes than one host may begin")
        self._seen[mac] = _Seen()
        if len(self._seen) > limits.MAX_SEEN_INITS:
            self._seen.popitem(last=False)
        return True

    def answered(self, mac: bytes, index: int) -> None:
        """An INIT drew an answer: copies may have the same, for it may have been lost."""
        self._seen[mac].index = index

    def forget(self, mac: bytes) -> None:
        """Let the next copy count as the first: this one came at a wrong moment."""
        del self._seen[mac]

    def echo_untrusted(self, mac: bytes) -> int:
        """The number of the session whose answer another copy gets.

        Raises:
            WireError: It gets none, or none any more.
        """
        seen = self._seen[mac]
        seen.echoes += 1
        if seen.index is None or seen.echoes > _ECHOES:
            raise WireError("a copy of a handshake that got its answers")
        return seen.index
