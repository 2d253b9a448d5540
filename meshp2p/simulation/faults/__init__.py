"""Everything that can go wrong in a world, as values: `world.inject(Loss(0.2))`."""

from meshp2p.simulation.faults.byzantine import (
    LIES,
    Equivocate,
    Flood,
    Forge,
    ReplayPackets,
    SpoofedInits,
    StaleGossip,
)
from meshp2p.simulation.faults.cuts import Cut, Hold, Partition
from meshp2p.simulation.faults.disks import FailingDisk, FullDisk, SlowDisk
from meshp2p.simulation.faults.fault import ANYONE, Fault, Guard, Schedule, Timed
from meshp2p.simulation.faults.machines import (
    ClockJump,
    Crash,
    CrashAtWrite,
    Drain,
    Leave,
    Skew,
    Slow,
    Stall,
)
from meshp2p.simulation.faults.nat import Nat
from meshp2p.simulation.faults.network import (
    Bandwidth,
    BurstyLoss,
    Delay,
    Duplicate,
    Loss,
    Mtu,
    Reorder,
)

__all__ = [
    "ANYONE",
    "LIES",
    "Bandwidth",
    "BurstyLoss",
    "ClockJump",
    "Crash",
    "CrashAtWrite",
    "Cut",
    "Delay",
    "Drain",
    "Duplicate",
    "Equivocate",
    "FailingDisk",
    "Fault",
    "Flood",
    "Forge",
    "FullDisk",
    "Guard",
    "Hold",
    "Leave",
    "Loss",
    "Mtu",
    "Nat",
    "Partition",
    "Reorder",
    "ReplayPackets",
    "Schedule",
    "Skew",
    "Slow",
    "SlowDisk",
    "SpoofedInits",
    "StaleGossip",
    "Stall",
    "Timed",
]
