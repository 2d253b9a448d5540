"""Lines are signed again for hours on end, and nobody hears of it who need not."""

from __future__ import annotations

import attrs

from meshp2p.config import Config, lan
from meshp2p.gossip.record import VersionLine
from tests.simulation.swim_world import UNIX, Person, SwimWorld

HOUR = 3_600.0
CROWD = tuple(f"member-{number:02}" for number in range(6))
SHORT: Config = attrs.evolve(
    lan(),
    line_validity=1_200.0,
    clock_tolerance=60.0,
    probe_interval=60.0,
    gossip_interval=5.0,
    sync_patience=120.0,
    sync_interval=60.0,
    lost_retry_interval=300.0,
    digest_interval=60.0,
)
"""Everything slow but the leases, so that ten hours are soon over: two members meet by a probe
once in six minutes, and a line lives for twenty."""


def expiry(person: Person, other: Person) -> float:
    """Until when somebody's line of another is valid, Unix seconds."""
    match person.swim.records_of([other.id]):
        case [[bytes(line), *_]]:
            return VersionLine.from_bytes_untrusted(line).valid_until
    raise AssertionError(f"{person.name} does not know {other.name}")


def test_ten_hours_of_renewals_are_no_news() -> None:
    """All lines stay valid everywhere, no view changes, and no application hears a thing.

    Who joins afterwards is shown versions of this morning, and believes them.
    """
    world = SwimWorld(1, config=SHORT)
    people = world.join(*CROWD)
    world.run_for(HOUR)
    hashes = {person.swim.view_hash() for person in people}
    heard = [len(person.events) for person in people]
    shortest = SHORT.line_validity
    for _ in range(90):
        world.run_for(HOUR / 10)
        ends = [expiry(one, other) for one in people for other in people]
        shortest = min(shortest, min(ends) - UNIX - world.now)

    assert shortest > 0.0
    assert {person.swim.view_hash() for person in people} == hashes
    assert [len(person.events) for person in people] == heard
    assert sum(person.swim.counters["leases"] for person in people) > 30 * 20
    zoe = world.start("zoe")
    world.introduce(zoe, people[3])
    world.run_until(lambda: all(zoe.sees(one) == "alive" for one in people), at_most=10.0)
    assert zoe.swim.counters.get("claims_refused", 0) == 0


def test_tombstones_end_with_the_lines_that_they_guard_against() -> None:
    """Who left is remembered until nobody believes its lines any more, and then by nobody."""
    world = SwimWorld(3, config=SHORT)
    *others, bob, carol = world.join(*CROWD)
    bob.swim.leave(now=world.now)
    world.run_for(lan().leave_linger)
    world.crash(bob)
    world.run_for(SHORT.line_validity / 2)
    assert {one.sees(bob) for one in others} == {"left"}

    world.run_for(SHORT.line_validity / 2 + SHORT.clock_tolerance + 300.0)

    assert {one.sees(bob) for one in others} == {None}
    assert {one.sees(carol) for one in others} == {"alive"}
    assert world.agrees([*others, carol])
