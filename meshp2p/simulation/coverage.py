"""What `World.coverage` counts, and so what a campaign can prove to have happened."""

from __future__ import annotations

from typing import Final

FAULTS: Final = (
    "loss",
    "delay",
    "duplicate",
    "reorder",
    "bandwidth",
    "mtu",
    "cut",
    "partition",
    "hold",
    "nat",
    "crash",
    "restart",
    "crash.unsynced_lost",
    "crash.wiped",
    "leave",
    "drain",
    "stall",
    "slow",
    "skew",
    "clock_jump",
    "disk_slow",
    "disk_full",
    "disk_failed",
    "byzantine.forge",
    "byzantine.replay",
    "byzantine.equivocate",
    "byzantine.flood",
    "byzantine.spoof",
)
"""Each is counted when it really did something: a packet lost, a write refused, a lie told."""

WORK: Final = (
    "work.answered",
    "work.failed",
    "work.awards",
    "work.successors",
    "work.votes_decided",
    "work.votes_undecided",
)
"""What came of the agents' errands."""

MUST_HAPPEN: Final = FAULTS + WORK
"""None may stay at zero over a campaign: what never happened was never tested."""
