"""Which epochs a node's lives have used, on disk: so that each supersedes the one before.

The wall clock alone would do, as long as it is never set back. Others that hold a newer line
show it, as long as there are others. With both the disk is not needed; without one of them
it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from meshp2p.effects import Persist, Record
from meshp2p.engine.core import Core
from meshp2p.errors import WireError
from meshp2p.gossip.fields import MAX_EPOCH, natural
from meshp2p.wire import codec

EPOCHS: Final = "epoch"
"""Journal: b"" to [format, highest epoch used]."""

_KEY: Final = b""
_FORMAT: Final = 1


class Lives:
    """Writes down the epoch of this life before anybody hears of it.

    Attributes:
        saved: The highest that the disk holds; 0 if it holds none.
    """

    def __init__(self, core: Core, stored: Mapping[tuple[str, bytes], bytes]) -> None:
        """Read what the journal holds; what makes no sense is overwritten."""
        self._core = core
        self._first: int | None = None
        self.saved = 0
        row = stored.get((EPOCHS, _KEY))
        if row is not None:
            try:
                self.saved = _epoch_untrusted(row)
            except WireError:
                core.log("warning", "the epoch on disk makes no sense: the clock must do")

    def begin(self, epoch: int) -> None:
        """Say nothing to anybody before this life's epoch is on disk."""
        self._core.hold_back()
        self._first = self.use(epoch)

    def use(self, epoch: int) -> int:
        """Write an epoch down; return the token of the write."""
        token = self._core.next_number()
        self._core.emit(Persist(token, (Record(EPOCHS, _KEY, codec.pack([_FORMAT, epoch])),)))
        return token

    def receive_persisted(self, token: int, *, ok: bool) -> None:
        """It is on disk, or never will be: a full disk must not keep a node out of its mesh."""
        if token != self._first:
            return
        self._first = None
        if not ok:
            self._core.log("warning", "the epoch cannot be written down: the clock must do")
        self._core.let_go()


def _epoch_untrusted(row: object) -> int:
    """What a row says.

    Raises:
        WireError: And nothing else, whatever it holds.
    """
    if not isinstance(row, bytes):
        raise WireError("a row that is none of ours")
    match codec.unpack_list_untrusted(row, 2):
        case [int(number), epoch, *_] if number == _FORMAT:
            return natural(epoch, "epoch", MAX_EPOCH)
        case _:
            raise WireError("a row of another format")
