"""What the kernel says of processes, of a network and of how busy the machine is."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

import attrs

from meshp2p.ids import Seconds

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_BUSY: Final = 0.2
"""Share of the processors in use beside which times mean little."""
_LOOK: Final[Seconds] = 1.0


@attrs.frozen
class Traffic:
    """What the loopback interface of this namespace has carried.

    The kernel counts each packet on it twice, as sent and as received, with IP headers
    and without a link's; this is the half that was sent.
    """

    sent: int
    packets: int

    @classmethod
    def now(cls) -> Traffic:
        """Read the kernel's counters."""
        for line in Path("/proc/net/dev").read_text().splitlines():
            name, _, counters = line.partition(":")
            if name.strip() == "lo":
                fields = counters.split()
                return cls(int(fields[8]), int(fields[9]))
        raise RuntimeError("there is no loopback interface")

    def since(self, before: Traffic) -> Traffic:
        """What has come meanwhile."""
        return Traffic(self.sent - before.sent, self.packets - before.packets)


def cpu_seconds(pids: Iterable[int]) -> float:
    """CPU time that these processes have taken, in the kernel and outside; 0 for those gone."""
    ticks = 0
    for pid in pids:
        with suppress(FileNotFoundError):
            ticks += _ticks_of(pid)
    return ticks / _TICKS


def _ticks_of(pid: int) -> int:
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(after_name[11]) + int(after_name[12])


def resident_bytes(pids: Iterable[int]) -> list[int]:
    """Bytes that each has in memory; what several share counts for each."""
    pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids]
    return [count * os.sysconf("SC_PAGE_SIZE") for count in pages]


def load() -> str:
    """How busy the machine is, with a warning if others will be seen in the figures."""
    busy = _busy_share(_LOOK)
    average = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    text = f"{busy:.0%} of {os.cpu_count()} processors in use, load average {average}"
    return text + (": TOO BUSY to trust times" if busy > _BUSY else "")


def _busy_share(seconds: Seconds) -> float:
    before = _processor_ticks()
    time.sleep(seconds)
    idle, total = (now - then for now, then in zip(_processor_ticks(), before, strict=True))
    return 1.0 - idle / max(1, total)


def _processor_ticks() -> tuple[int, int]:
    """Idle ones, and all."""
    fields = [int(each) for each in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return fields[3] + fields[4], sum(fields)
