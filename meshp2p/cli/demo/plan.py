"""What the demo sets out to do, as a value: who plays, how often, how it ends."""

from __future__ import annotations

import signal
import time
from itertools import count
from typing import Any, Final

import attrs

WORK: Final = "work.prime"
"""The next prime after a number: what is under way when an agent is killed."""
AUCTIONED: Final = "sort.words"
QUESTION: Final = "Release today?"
OPTIONS: Final = ("ship", "wait")


@attrs.frozen
class Role:
    """One agent.

    Args:
        handle: Its name.
        skill: The capability that only it has; `agent.SKILLS` defines it.
        sample: An argument for the skill.
        answer: What the skill must make of the sample.
        price: What it asks for the auctioned work; None if it cannot do it.
        ballot: Its option in the vote.
    """

    handle: str
    skill: str
    sample: Any
    answer: Any
    price: int | None = None
    ballot: str = OPTIONS[0]


CAST: Final = (
    Role("alice", "text.reverse", "stressed", "desserts"),
    Role("bob", "text.upper", "mesh", "MESH", price=30),
    Role("carol", "math.sum", [3, 5, 8, 13], 29, price=20),
    Role("dave", "math.square", 12, 144, price=40),
    Role("erin", "text.words", "no node is special", 4, ballot=OPTIONS[1]),
)
"""The first makes the calls of the last scene, and is not killed; the others do the work."""


@attrs.frozen(kw_only=True)
class Plan:
    """One run of the demo. The second half is for tests of what must not go unnoticed.

    Args:
        cast: The agents.
        quick_calls: Made by each agent to the next; all of them are measured.
        tasks: Calls under way when the busiest agent is killed.
        task_seconds: Each of them takes so long.
        join_timeout: Seconds in which all must see all.
        patience: Seconds for each scene after that.
        signal: What ends the busiest agent: SIGKILL, or SIGSTOP, after which it holds its
            sockets open and says nothing.
        idempotent: Whether the work may be done twice, so that calls may go elsewhere.
        forge: Change a byte of the certificate before it is judged.
        absent: Handle of an agent that joins another namespace instead.
    """

    cast: tuple[Role, ...] = CAST
    quick_calls: int = 40
    tasks: int = 40
    task_seconds: float = 0.3
    join_timeout: float = 20.0
    patience: float = 20.0
    signal: signal.Signals = signal.SIGKILL
    idempotent: bool = True
    forge: bool = False
    absent: str = ""


def clock() -> float:
    """Seconds on a clock that all processes of this machine share."""
    return time.clock_gettime(time.CLOCK_MONOTONIC)


def next_prime(number: int) -> int:
    """The smallest prime above a number."""
    return next(
        candidate
        for candidate in count(number + 1)
        if candidate > 1 and all(candidate % divisor for divisor in range(2, candidate))
    )
