"""A disk that has everything that was synced, and after a crash perhaps a little more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

import attrs

from meshp2p.effects import Record
from meshp2p.ids import Seconds
from meshp2p.simulation.latency import AnyLatency

Left: TypeAlias = Literal["kept", "unsynced_lost", "wiped"]
"""What a crash leaves: all writes, those that were synced, or an empty new journal."""


@attrs.frozen
class Trouble:
    """What is wrong with a disk.

    Args:
        kind: Under which name `coverage` counts it.
        slow: Each sync takes so much longer.
        fails: Share of the writes that fail.
    """

    kind: str
    slow: AnyLatency | None = None
    fails: float = 0.0


@attrs.define(eq=False)
class Disk:
    """One node's journal.

    Args:
        synced: (table, key) to value: what survives.
        broken: Writes fail from now on; what is there can still be read.
        troubles: More that is wrong, by the number of the fault.
        wipes: How often it was lost as a whole; each new journal has a new id.
    """

    synced: dict[tuple[str, bytes], bytes] = attrs.field(factory=dict)
    broken: bool = False
    troubles: dict[int, Trouble] = attrs.field(factory=dict, init=False)
    wipes: int = attrs.field(default=0, init=False)
    _ever: list[bytes] = attrs.field(factory=list, init=False)
    _unsynced: list[tuple[Record, ...]] = attrs.field(factory=list, init=False)

    def write(self, records: tuple[Record, ...]) -> None:
        """Take records into the cache."""
        self._unsynced.append(records)

    def extra_wait(self, draw: float) -> tuple[Seconds, str]:
        """How much longer than usual a sync takes, and whose fault that is."""
        for trouble in self.troubles.values():
            if trouble.slow is not None:
                return trouble.slow.of(draw), trouble.kind
        return 0.0, ""

    def refuses(self, draw: float) -> str:
        """Whose fault it is that a write fails; empty if it does not."""
        for trouble in self.troubles.values():
            if draw < trouble.fails:
                return trouble.kind
        return "broken" if self.broken else ""

    def sync_oldest(self, *, ok: bool) -> None:
        """Bring the oldest write to the platter, or drop it if that fails."""
        records = self._unsynced.pop(0)
        if ok:
            self._apply(records)

    def crash(self, kept: int) -> None:
        """Lose what was not synced, except for the `kept` oldest writes."""
        for records in self._unsynced[:kept]:
            self._apply(records)
        self._unsynced.clear()

    def wipe(self) -> None:
        """Lose everything."""
        self._unsynced.clear()
        self.synced.clear()
        self.wipes += 1

    @property
    def unsynced(self) -> int:
        """Writes that a crash may lose."""
        return len(self._unsynced)

    def read(self) -> Mapping[tuple[str, bytes], bytes]:
        """What a process that starts now finds."""
        return dict(self.synced)

    def ever_held(self, statement: bytes) -> bool:
        """Whether these bytes were on the platter once, within whatever record."""
        return any(statement in value for value in self._ever)

    def _apply(self, records: tuple[Record, ...]) -> None:
        for record in records:
            if record.value is None:
                self.synced.pop((record.table, record.key), None)
            else:
                self.synced[record.table, record.key] = record.value
                self._ever.append(record.value)
