"""What docs/testing-agents.md shows happens: its programs run, and print that."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import REPOSITORY, Block, chapters, fits

PAGE = REPOSITORY / "docs" / "testing-agents.md"
_SEED = re.compile(r"--mesh-seed=(\d+)")


class Reader:
    """Works through the page in one directory."""

    def __init__(self, home: Path) -> None:
        """Nothing is written yet."""
        self.home = home
        self.seeds: dict[str, str] = {}
        """The seed that the page names, and the one that is the first to fail today."""
        python = home / "bin" / "python"
        python.parent.mkdir()
        python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
        python.chmod(0o700)

    def work_through(self, block: Block) -> None:
        """Save a program, or see what a terminal says."""
        if block.mark.startswith("file: "):
            (self.home / block.mark.removeprefix("file: ")).write_text(block.text)
        elif block.mark == "terminal":
            self._see(block)

    def _see(self, block: Block) -> None:
        commands = "\n".join(self._today(command) for command in block.commands)
        done = subprocess.run(
            ["/bin/bash", "-c", commands],
            check=False,
            cwd=self.home,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=90,
        )
        printed = done.stdout.strip()
        expected = "\n".join(block.printed).strip()
        if not self.seeds and (told := _SEED.search(expected)) and (seen := _SEED.search(printed)):
            self.seeds = {told[1]: seen[1]}
        expected = self._today(expected)
        assert fits(printed, expected), f"printed:\n{printed}\nthe page says:\n{expected}"

    def _today(self, text: str) -> str:
        """The page names the seed that failed when it was written."""
        for told, seen in self.seeds.items():
            text = text.replace(f"--mesh-seed={told}", f"--mesh-seed={seen}")
            text = text.replace(f"seed {told} failed", f"seed {seen} failed")
        return text

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PATH": f"{self.home / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(REPOSITORY),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTEST_PLUGINS": "meshp2p.testing.plugin",
            "COLUMNS": "100",
        }


@pytest.mark.slow
def test_a_fault_is_found_replayed_and_mended(tmp_path: Path) -> None:
    """The whole page: a seed fails, is replayed, and after the fix all fifty pass."""
    reader = Reader(tmp_path)
    for blocks in chapters(PAGE):
        for block in blocks:
            reader.work_through(block)

    assert reader.seeds
    assert "<html" in (tmp_path / "run.html").read_text()
