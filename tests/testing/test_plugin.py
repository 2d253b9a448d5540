"""The pytest plugin: a failing seed says how to see it again, and one option shows it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]

_TESTS = """
from pathlib import Path

from meshp2p.testing import simulate

LOG = Path(__file__).with_name("seeds.txt")


@simulate(seeds=range(10, 20))
async def test_small_seeds(sim):
    with LOG.open("a") as log:
        print(sim.seed, file=log)
    await sim.run_for(1.5)
    assert sim.seed < 13


class TestWithFixtures:
    @simulate(seeds=3)
    async def test_fixtures_arrive(self, sim, tmp_path):
        assert tmp_path.exists()
        assert isinstance(self, TestWithFixtures)


def test_plain():
    pass
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A user's project with a test that fails from seed 13 on."""
    (tmp_path / "test_agents.py").write_text(_TESTS)
    return tmp_path


def run_pytest(suite: Path, *options: str) -> tuple[int, str, list[str]]:
    """Run it; give its status, what it said, and the seeds that ran."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options],
        check=False,
        cwd=suite,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    log = suite / "seeds.txt"
    return done.returncode, done.stdout, log.read_text().split() if log.exists() else []


PLUGIN = ("-p", "meshp2p.testing.plugin")


def test_the_first_seed_that_fails_is_reported(suite: Path) -> None:
    """Seed, virtual time and the command to replay it; later seeds do not run."""
    status, text, seeds = run_pytest(suite, *PLUGIN)

    assert status == 1
    assert seeds == ["10", "11", "12", "13"]
    assert "seed 13 failed after 1.500000 virtual seconds" in text
    assert "pytest test_agents.py::test_small_seeds --mesh-seed=13" in text
    assert "1 failed, 2 passed" in text


def test_one_seed_is_replayed(suite: Path) -> None:
    """The command of the report runs that seed and no other."""
    status, text, seeds = run_pytest(
        suite, *PLUGIN, "test_agents.py::test_small_seeds", "--mesh-seed=13"
    )

    assert (status, seeds) == (1, ["13"])
    assert "seed 13 failed" in text


def test_other_seeds_can_be_chosen(suite: Path) -> None:
    """For a long night; what is no range is refused."""
    status, _, seeds = run_pytest(suite, *PLUGIN, "--mesh-seeds=3:6")
    assert (status, seeds) == (0, ["3", "4", "5"])

    status, text, _ = run_pytest(suite, *PLUGIN, "--mesh-seeds=many")
    assert status == 4
    assert "FIRST:END" in text


def test_plain_pytest_runs_all_seeds(suite: Path) -> None:
    """Without the plugin nothing is missing but the option."""
    status, text, seeds = run_pytest(suite, "-p", "no:meshp2p.testing.plugin")

    assert (status, seeds[-1]) == (1, "13")
    assert "--mesh-seed=13" in text
