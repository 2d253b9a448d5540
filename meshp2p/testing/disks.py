"""Virtual disks: slots with keys, journals that lose what was not synced, local directories."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, cast

import attrs

from meshp2p.effects import Record
from meshp2p.engine import Neighbour
from meshp2p.ids import NodeId, Seconds
from meshp2p.simulation.dice import Draws, secret
from meshp2p.simulation.disk import Disk

if TYPE_CHECKING:
    from meshp2p.testing.machine import VirtualMachine
    from meshp2p.testing.process import Process

_SYNC: Final[tuple[Seconds, Seconds]] = (0.0005, 0.004)
"""How long a write takes to reach the platter."""
_ID_BYTES: Final = 16


@attrs.define(eq=False)
class Slot:
    """Where one node of a machine keeps its key and its journal.

    Args:
        names: What its keys are derived from.
        holder: The process that has its lock.
        writes: So far, in all lives.
    """

    names: tuple[object, ...]
    disk: Disk = attrs.field(factory=Disk)
    holder: Process | None = None
    writes: int = 0

    @property
    def node_private(self) -> bytes:
        """The node's key: the same in every life, unless the disk was wiped."""
        return secret(*self.names, "node", *self._wiped)

    @property
    def journal_id(self) -> bytes:
        """Made together with the journal."""
        return secret(*self.names, "journal", *self._wiped)[:_ID_BYTES]

    @property
    def _wiped(self) -> tuple[int, ...]:
        return (self.disk.wipes,) if self.disk.wipes else ()


class Slots:
    """All slots of a machine; a node takes the first of its handle that is free."""

    def __init__(self, machine: VirtualMachine) -> None:
        """Empty, but for the slot of the machine's own agent."""
        self._machine = machine
        self.main = Slot((machine.internet.seed, machine.name))
        self._slots: dict[tuple[str, int], Slot] = {(machine.name, 0): self.main}

    def __iter__(self) -> Iterator[Slot]:
        """All of them."""
        return iter(self._slots.values())

    def take(self, handle: str, process: Process) -> Slot:
        """A slot for a node that starts, held until its process ends or it is closed."""
        number = 0
        while True:
            slot = self._slots.get((handle, number))
            if slot is None:
                names = (*self.main.names, handle, number)
                slot = self._slots[handle, number] = Slot(names)
            if slot.holder is None or not slot.holder.is_alive:
                slot.holder = process
                return slot
            number += 1


class VirtualJournal:
    """As `runtime.journal.Journal`, on a disk that a crash may take by surprise."""

    def __init__(
        self, process: Process, slot: Slot | None, on_written: Callable[[int, bool], None]
    ) -> None:
        """Opened; without a slot it lies in memory."""
        self._process = process
        self.journal_id = process.entropy(_ID_BYTES) if slot is None else slot.journal_id
        names = process.machine.slots.main.names
        self._slot = slot = Slot((*names, process.life, "memory")) if slot is None else slot
        self._disk = slot.disk
        self._on_written = on_written
        # As for engines on the heap: by the number of the write, in whichever life.
        self._draws = {what: Draws(*slot.names, what) for what in ("sync", "slow", "fails")}
        self._free_at: Seconds = 0.0
        self._closed = False

    def load(self) -> dict[tuple[str, bytes], bytes]:
        """As `Journal.load`."""
        return dict(self._disk.read())

    def start_writing(self, token: int, records: tuple[Record, ...]) -> None:
        """As `Journal.start_writing`; a paused process's kernel syncs all the same."""
        process = self._process
        if self._closed or not process.is_alive:
            return
        internet = process.machine.internet
        for look in internet.on_persist:
            look(cast("Any", process.machine), records)
        self._disk.write(records)
        self._slot.writes = number = self._slot.writes + 1
        draw = self._draws["sync"].at(number)
        extra, why = self._disk.extra_wait(self._draws["slow"].at(number))
        if why:
            internet.coverage[why] += 1
        wait = _SYNC[0] + (_SYNC[1] - _SYNC[0]) * draw + extra
        self._free_at = max(self._free_at, internet.now + wait)
        internet.at_time(self._free_at, lambda: self._sync(token, number))

    def _sync(self, token: int, number: int) -> None:
        if self._closed or not self._process.is_alive:
            return  # `close` or `crash` has decided over it
        why = self._disk.refuses(self._draws["fails"].at(number))
        if why:
            self._process.machine.internet.coverage[why] += 1
        self._disk.sync_oldest(ok=not why)
        self._process.post(lambda: self._on_written(token, not why))

    def close(self) -> None:
        """As `Journal.close`: what was asked for is written."""
        self._closed = True
        while self._disk.unsynced and self._process.is_alive:
            self._disk.sync_oldest(ok=not self._disk.broken)
        if self._slot.holder is self._process:
            self._slot.holder = None


class VirtualDirectory:
    """As `discovery.local.LocalDirectory`: the nodes of one place tell of themselves.

    Args:
        entries: What the place has in common.
    """

    def __init__(self, process: Process, entries: dict[NodeId, Neighbour]) -> None:
        """Nothing is published."""
        self._process = process
        self._entries = entries
        self._own: NodeId | None = None

    def publish(self, entry: Neighbour) -> None:
        """As `LocalDirectory.publish`."""
        if self._process.is_alive:
            self._own = entry.id
            self._entries[entry.id] = entry
            self._process.at_end.append(self.withdraw)

    def withdraw(self) -> None:
        """As `LocalDirectory.withdraw`."""
        own, self._own = self._own, None
        if own is not None:
            self._entries.pop(own, None)

    def abandon(self) -> None:
        """A simulation is never forked."""

    def list_others(self) -> list[Neighbour]:
        """As `LocalDirectory.list_others`."""
        return [self._entries[each] for each in sorted(self._entries) if each != self._own]

    def renew(self) -> None:
        """Nobody tidies up here."""
