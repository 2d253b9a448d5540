"""One seed, one run: byte for byte, in every process, whatever Python makes of hashes."""

from __future__ import annotations

import os
import subprocess
import sys

from meshp2p.identity.keys import OpenSSL
from meshp2p.simulation import World
from meshp2p.simulation.swarm import draw_plan, run_seed

_SEEDS = range(100, 104)
_SWARM = f"""
from meshp2p.simulation.swarm import run_seed
print([run_seed(seed).trace_hash for seed in {_SEEDS!r}])
"""
_REAL = """
from tests.simulation.test_determinism import meet
print(meet(5).trace)
"""


def meet(seed: int) -> World:
    """Three nodes with real keys and signatures meet, and one of them crashes and returns."""
    world = World(seed, crypto=OpenSSL())
    _, bob, _ = world.join("alice", "bob", "carol")
    world.crash(bob)
    world.run_for(1.0)
    world.restart(bob)
    world.run_until_quiet()
    return world


def elsewhere(code: str, hash_seed: str) -> str:
    """What the code prints in a process of its own."""
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    return ended.stdout.strip()


def test_a_troubled_mesh_has_one_trace_in_all_processes() -> None:
    """Faults, work and all; the campaign's `--traces` shows it for as many seeds as one likes."""
    here = [run_seed(seed).trace_hash for seed in _SEEDS]
    assert elsewhere(_SWARM, "77") == str(here)
    assert len(set(here)) == len(here)


def test_real_keys_and_signatures_have_one_trace_too() -> None:
    """Entropy is drawn from the seed, and Ed25519 has no dice."""
    assert elsewhere(_REAL, "1") == meet(5).trace
    assert meet(5).trace != meet(6).trace


def test_what_ran_before_in_the_same_process_does_not_matter() -> None:
    """No cache, counter or generator is left over."""
    first = run_seed(103)
    run_seed(104)
    again = run_seed(103)
    assert (first.trace_hash, first.events, first.coverage) == (
        again.trace_hash,
        again.events,
        again.coverage,
    )
    assert draw_plan(103) == draw_plan(103)
