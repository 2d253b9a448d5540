"""The number of the last award of each task: strictly rising, across restarts too."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

from meshp2p.consensus.envelope import FORMAT, Fields
from meshp2p.effects import Record
from meshp2p.errors import StateUnusable, WireError
from meshp2p.wire import codec, limits

AWARDS: Final = "auction.award"
"""Journal: task id to [format, whether the task has a key, epoch, signed award]."""


class Epochs:
    """Counts up for each task, and knows which rows of the journal are of no more use.

    A task without key cannot come again after a restart, so its row goes with it. The
    tasks with keys are kept up to a bound; the oldest goes first.
    """

    def __init__(self, stored: Mapping[tuple[str, bytes], bytes]) -> None:
        """Continue from the journal.

        Raises:
            StateUnusable: It holds something else.
        """
        self._last: OrderedDict[bytes, int] = OrderedDict()
        self._forgotten: list[bytes] = []
        for (table, task_id), value in stored.items():
            if table == AWARDS:
                keyed, epoch = _read_row(value)
                if keyed:
                    self._last[task_id] = epoch
                else:
                    self._forgotten.append(task_id)

    def following(self, task_id: bytes) -> int:
        """What the next award of the task would be numbered."""
        return self._last.get(task_id, 0) + 1

    def advance(self, task_id: bytes) -> int:
        """Take the next number; whether or not it is ever used, nobody else gets it."""
        epoch = self.following(task_id)
        self._last[task_id] = epoch
        self._last.move_to_end(task_id)
        if len(self._last) > limits.MAX_KEPT_AWARDS:
            self._forgotten.append(self._last.popitem(last=False)[0])
        return epoch

    def forget(self, task_id: bytes) -> None:
        """The task is over and cannot come again."""
        if self._last.pop(task_id, None) is not None:
            self._forgotten.append(task_id)

    def rows(self, task_id: bytes, award: bytes, *, keyed: bool) -> list[Record]:
        """What must be on disk before the award leaves; old rows are swept out with it."""
        old = [Record(AWARDS, forgotten, None) for forgotten in self._forgotten]
        self._forgotten = []
        row = codec.pack([FORMAT, int(keyed), self._last[task_id], award])
        return [*old, Record(AWARDS, task_id, row)]


def _read_row(value: bytes) -> tuple[bool, int]:
    try:
        fields = Fields(codec.unpack_list_untrusted(value, at_least=4))
        fields.integer(FORMAT, FORMAT)
        return bool(fields.integer(0, 1)), fields.integer(1)
    except WireError as error:
        raise StateUnusable(f"the journal's awards are damaged: {error}") from error
