"""The pytest plugin: `--mesh-seed=17` runs simulated tests with that seed alone.

It is loaded by every pytest of an environment, so it imports nothing of the simulation.
"""

from __future__ import annotations

import argparse
from collections.abc import Generator

import pytest

from meshp2p.testing.chosen import FILES, MARK, SEEDS, Files


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer the options."""
    group = parser.getgroup("meshp2p", "simulated tests (meshp2p.testing)")
    group.addoption(
        "--mesh-seed",
        action="append",
        type=int,
        default=[],
        metavar="SEED",
        help="run simulated tests with this seed only; may be given several times",
    )
    group.addoption(
        "--mesh-seeds",
        type=_seeds,
        default=(),
        metavar="FIRST:END",
        help="run simulated tests with these seeds instead of their own; END is not among them",
    )
    for name, what in (("trace", "its events, one JSON object a line"), ("html", "a timeline")):
        group.addoption(
            f"--mesh-{name}",
            default="",
            metavar="FILE",
            help=f"write {what}; each run overwrites the one before, so a failing one stays",
        )


def _seeds(text: str) -> tuple[int, ...]:
    first, colon, end = text.partition(":")
    try:
        seeds = tuple(range(int(first), int(end)) if colon else range(int(first)))
    except ValueError:
        seeds = ()
    if not seeds:
        raise argparse.ArgumentTypeError(f"{text!r}: allowed are 'FIRST:END' and 'HOW_MANY'")
    return seeds


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Have a simulated test run as the command line says."""
    option = pyfuncitem.config.option
    if not hasattr(pyfuncitem.obj, MARK):
        return (yield)
    seeds = SEEDS.set((*option.mesh_seed, *option.mesh_seeds))
    files = FILES.set(Files(option.mesh_trace, option.mesh_html))
    try:
        return (yield)
    finally:
        SEEDS.reset(seeds)
        FILES.reset(files)
