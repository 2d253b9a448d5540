"""Each test has its own user: a state directory and a runtime directory that are empty."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from meshp2p import Node
from tests.node.processes import Program, Run


class Start(Protocol):
    """What the fixture `start` gives."""

    def __call__(self, handle: str | None = None, **settings: Any) -> Node:  # noqa: ANN401  # as Node
        """Start a node that is stopped at the end of the test."""
        ...


@pytest.fixture(autouse=True)
def home(tmp_path: Path) -> Iterator[Path]:
    """A directory of one user's own; also for the processes that the test starts."""
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)
    before = dict(os.environ)
    os.environ["MESHP2P_STATE"] = str(tmp_path / "state")
    os.environ["XDG_RUNTIME_DIR"] = str(runtime)
    yield tmp_path
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def start() -> Iterator[Start]:
    """Start nodes; at the end all are stopped, together."""
    nodes: list[Node] = []

    def started(handle: str | None = None, **settings: Any) -> Node:  # noqa: ANN401  # as Node
        node = Node(handle, **settings).start()
        nodes.append(node)
        return node

    yield started
    stopping = [threading.Thread(target=node.stop) for node in nodes]
    for thread in stopping:
        thread.start()
    for thread in stopping:
        thread.join()


@pytest.fixture
def run() -> Iterator[Run]:
    """Run programs; at the end all are gone."""
    programs: list[Program] = []

    def running(source: str, *arguments: str, interpreter: tuple[str, ...] = ()) -> Program:
        program = Program(source, *arguments, interpreter=interpreter)
        programs.append(program)
        return program

    yield running
    for program in programs:
        program.close()
