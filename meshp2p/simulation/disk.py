"""A disk that has everything that was synced, and after a crash perhaps a little more."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from meshp2p.effects import Record


@attrs.define(eq=False)
class Disk:
    """One node's journal.

    Args:
        synced: (table, key) to value: what survives.
        broken: Writes fail from now on; what is there can still be read.
    """

    synced: dict[tuple[str, bytes], bytes] = attrs.field(factory=dict)
    broken: bool = False
    _ever: list[bytes] = attrs.field(factory=list, init=False)
    _unsynced: list[tuple[Record, ...]] = attrs.field(factory=list, init=False)

    def write(self, records: tuple[Record, ...]) -> None:
        """Take records into the cache."""
        self._unsynced.append(records)

    def sync_oldest(self) -> bool:
        """Bring the oldest write to the platter; False if that failed."""
        records = self._unsynced.pop(0)
        if self.broken:
            return False
        self._apply(records)
        return True

    def crash(self, kept: int) -> None:
        """Lose what was not synced, except for the `kept` oldest writes."""
        for records in self._unsynced[:kept]:
            self._apply(records)
        self._unsynced.clear()

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
