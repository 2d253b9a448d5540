"""What `World.coverage` counts, and so what a campaign can prove to have happened."""

from __future__ import annotations

from typing import Final, get_args

from meshp2p.simulation.routes import NatKind

FAULTS: Final = (
    "loss",
    "delay",
    "duplicate",
    "reorder",
    "bandwidth",
    "mtu",
    "cut",
    "cut.one_way",
    "cut.both_ways",
    "partition",
    "hold",
    "nat",
    *(f"nat.{kind}" for kind in get_args(NatKind)),
    "crash",
    "restart",
    "crash.unsynced_lost",
    "crash.wiped",
    "leave",
    "drain",
    "stall",
    "stall.asleep",
    "stall.awake",
    "slow",
    "skew",
    "clock_jump",
    "disk_slow",
    "disk_full",
    "disk_failed",
    "byzantine.forge",
    "byzantine.accuse",
    "byzantine.stale",
    "byzantine.replay",
    "byzantine.equivocate",
    "byzantine.perjure",
    "byzantine.flood",
    "byzantine.spoof",
)
"""Each is counted when it really did something: a packet lost, a write refused, a lie told.

Where kinds of it differ, each is counted for itself after a dot, and all of them together.
"""

WORK: Final = (
    "work.answered",
    "work.failed",
    "work.given_up",
    "work.awards",
    "work.successors",
    "work.votes_decided",
    "work.votes_undecided",
)
"""What came of the agents' errands."""

SELDOM: Final = ("rekey.datagram", "rekey.stream", "renewal")
"""What nodes do once in an hour or so, for which some meshes are in a hurry: datagrams that got
new keys, next keys of connections (each end counts), and leases that were taken."""

LIMITS: Final = ("overloaded",)
"""Calls that found no room, for which some meshes have little."""

COVERED: Final = FAULTS + SELDOM + LIMITS
"""What happens too rarely shows too little."""

MUST_HAPPEN: Final = COVERED + WORK
"""None may stay at zero over a campaign: what never happened was never tested."""
