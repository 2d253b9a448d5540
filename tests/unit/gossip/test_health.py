"""How a node that is unwell holds itself back."""

from __future__ import annotations

from meshp2p.gossip.health import Health


def test_a_healthy_node_waits_as_long_as_configured() -> None:
    """Nothing has happened: nothing takes longer."""
    assert Health(8).factor == 1


def test_each_sign_of_trouble_makes_it_more_patient_and_each_success_less() -> None:
    """Trouble adds up, and goes away as it came."""
    health = Health(8)
    health.worse()
    health.worse(by=2)
    assert health.factor == 4
    health.better()
    assert health.factor == 3


def test_it_is_never_more_than_so_patient() -> None:
    """However ill it is, it goes on probing now and then; and it is soon well again."""
    health = Health(8)
    health.worse(by=100)
    assert health.factor == 9
    for _ in range(20):
        health.better()
    assert health.factor == 1


def test_it_can_be_switched_off() -> None:
    """Plain SWIM never doubts itself."""
    health = Health(0)
    health.worse(by=3)
    assert health.factor == 1
