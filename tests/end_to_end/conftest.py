"""Each test has a shell of its own, and so a mesh of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.shell import Shell


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """A user's shell."""
    shell = Shell(tmp_path)
    yield shell
    shell.close()
