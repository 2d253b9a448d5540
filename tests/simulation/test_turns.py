"""Which scenario a campaign turns to next."""

from __future__ import annotations

from meshp2p.simulation import catalogue
from meshp2p.simulation.campaign import Campaign, Entry, Limits
from meshp2p.simulation.report import Finding, Reduced


class Nobody:
    """Listens to nothing."""

    def found(self, finding: Finding) -> None:
        """See `Audience.found`."""

    def reduced(self, reduced: Reduced) -> None:
        """See `Audience.reduced`."""

    def irreducible(self, scenario: str, seed: int, why: str) -> None:
        """See `Audience.irreducible`."""

    def tick(self, campaign: Campaign) -> None:
        """See `Audience.tick`."""


def entry(name: str, cpu: float) -> Entry:
    """A scenario of which one seed has run, in so many seconds."""
    made = Entry(catalogue.find(name), range(0), 0)
    made.tally.seeds, made.tally.cpu = 1, cpu
    return made


def test_the_last_seconds_go_to_seeds_that_end_in_time() -> None:
    """Nobody waits long for one process that has only just begun with a large mesh."""
    large, small = entry("mass_crash", 40.0), entry("sick_node", 0.5)
    campaign = Campaign([large, small], Limits(seconds=600.0), Nobody())
    assert campaign.next_entry() is large
    campaign.began -= 580.0
    assert campaign.next_entry() is small


def test_what_cannot_end_in_time_is_begun_if_there_is_nothing_else() -> None:
    """Time that was given is used."""
    large = entry("mass_crash", 40.0)
    campaign = Campaign([large], Limits(seconds=600.0), Nobody())
    campaign.began -= 580.0
    assert campaign.next_entry() is large


def test_seeds_that_are_missing_when_the_time_is_over_are_drawn_at_random() -> None:
    """A number that was asked for is reached soon, whoever has had the most until then."""
    large, small = entry("mass_crash", 40.0), entry("swarm", 0.1)
    campaign = Campaign([large, small], Limits(seconds=600.0, seeds=5_000), Nobody())
    campaign.began -= 601.0
    small.tally.cpu, small.tally.seeds = 500.0, 4_000
    assert campaign.next_entry() is small
