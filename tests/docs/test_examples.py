"""What the pages show happens: their programs run, in processes of their own, and print that."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import REPOSITORY, Block, chapters, fits, titles
from tests.node.processes import Program

README = REPOSITORY / "README.md"
TUTORIAL = REPOSITORY / "docs" / "tutorial.md"
MEMBERS = REPOSITORY / "docs" / "members.md"

_IPYTHON = """
import sys
from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell.instance()
for cell in sys.argv[1:]:
    shell.run_cell(cell, store_history=True).raise_error()
shell.run_cell("node.stop()")
"""


_AT_THE_DESK = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)  # whatever runs these tests may ignore Ctrl-C
os.chdir(sys.argv[1])
os.execvp(sys.argv[2], sys.argv[2:])
"""


class Desk:
    """A reader at a desk: a directory, an empty state directory, and terminals."""

    def __init__(self, home: Path) -> None:
        """Nothing runs yet."""
        self.home = home
        self._staying: list[tuple[Program, list[str]]] = []
        self._environment = {
            **os.environ,
            "MESHP2P_STATE": str(home / "state"),
            "XDG_RUNTIME_DIR": str(home / "run"),
            "PATH": f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(REPOSITORY),
            "PYTHONUNBUFFERED": "1",
            "COLUMNS": "100",
        }
        (home / "run").mkdir(mode=0o700)
        (home / "bin").mkdir()
        for name, arguments in (("python", ""), ("meshp2p", "-m meshp2p")):
            command = home / "bin" / name
            command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {arguments} "$@"\n')
            command.chmod(0o700)

    def work_through(self, blocks: list[Block]) -> None:
        """Do what a chapter says, and see what it says."""
        for block in blocks:
            if block.mark.startswith("file: "):
                (self.home / block.mark.removeprefix("file: ")).write_text(block.text)
        for block in blocks:
            if block.mark == "terminal":
                self._see(block)
            elif block.mark == "terminal, stays":
                self._start(block)
            elif block.cells:
                self._see_cells(block)
        self._stop_all()

    def _see(self, block: Block) -> None:
        done = subprocess.run(
            ["/bin/bash", "-c", "\n".join(block.commands)],
            check=False,
            cwd=self.home,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
        expected = "\n".join(block.printed)
        assert fits(done.stdout.strip(), expected.strip()), (
            f"{block.commands} printed:\n{done.stdout}\nthe page says:\n{expected}"
        )

    def _start(self, block: Block) -> None:
        (command,) = block.commands
        program, expected = self._run(shlex.split(command)), block.printed
        self._staying.append((program, expected))
        self._check_off(program, expected)  # it is up once it says its first word

    def _check_off(self, program: Program, expected: list[str]) -> None:
        line = program.line()
        found = [text for text in expected if fits(line, text)]
        assert found, f"printed {line!r}; the page says {expected}"
        expected.remove(found[0])

    def _see_cells(self, block: Block) -> None:
        program = self._run(["python", "-c", _IPYTHON, *(source for source, _ in block.cells)])
        try:
            for _, expected in block.cells:
                assert not expected or fits(program.line(), expected)
            assert program.wait() == 0, program.errors()
        finally:
            program.close()

    def _run(self, words: list[str]) -> Program:
        before = dict(os.environ)
        os.environ.update(self._environment)
        try:
            return Program(str(self.home), *words, interpreter=("-c", _AT_THE_DESK))
        finally:
            os.environ.clear()
            os.environ.update(before)

    def _stop_all(self) -> None:
        """See what the others have printed meanwhile; then Ctrl-C in each."""
        for program, expected in self._staying:
            while expected:
                self._check_off(program, expected)
        for program, _ in self._staying:
            if program.process.poll() is None:
                program.signal(signal.SIGINT)
                assert program.wait() == 0, program.errors()

    def close(self) -> None:
        """End what still runs."""
        for program, _ in self._staying:
            program.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A reader who begins from nothing."""
    reader = Desk(tmp_path)
    yield reader
    reader.close()


@pytest.mark.parametrize("blocks", list(chapters(README)), ids=titles(README))
def test_what_the_readme_shows_happens(desk: Desk, blocks: list[Block]) -> None:
    """Two terminals, no configuration; and the same from trio, asyncio and IPython."""
    desk.work_through(blocks)


@pytest.mark.parametrize("blocks", list(chapters(TUTORIAL)), ids=titles(TUTORIAL))
def test_what_the_tutorial_shows_happens(desk: Desk, blocks: list[Block]) -> None:
    """Every program of the tutorial runs as it is printed and prints what it is said to."""
    desk.work_through(blocks)


@pytest.mark.parametrize("blocks", list(chapters(MEMBERS)), ids=titles(MEMBERS))
def test_what_the_page_on_members_shows_happens(desk: Desk, blocks: list[Block]) -> None:
    """Waiting, draining, batches and reasons, as they are printed."""
    desk.work_through(blocks)


def test_the_readme_begins_with_a_program_of_twelve_lines() -> None:
    """Whoever sees the project for the first time reads no more than that."""
    first = next(block for blocks in chapters(README) for block in blocks if block.mark)

    assert first.mark.startswith("file: ")
    assert len(first.text.splitlines()) <= 12


def test_the_readme_shows_the_same_from_every_loop() -> None:
    """trio, asyncio and IPython are each shown, and so each is run by the test above."""
    blocks = [block for blocks in chapters(README) for block in blocks]

    assert any("trio.run(" in block.text for block in blocks if block.mark.startswith("file"))
    assert any("asyncio.run(" in block.text for block in blocks if block.mark.startswith("file"))
    assert any(block.cells for block in blocks)


@pytest.mark.parametrize("name", ["demo", "test"])
def test_a_command_of_the_readme_is_one_line_that_starts_from_nothing(name: str) -> None:
    """A clone and Python are enough; the line makes its own environment."""
    text = README.read_text()
    found = re.search(rf"<!-- {name} command -->\n```sh\n(.*)\n```", text)

    assert found is not None
    assert found[1].startswith("python3 -m venv .venv && ")
