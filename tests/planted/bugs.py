"""The bugs that can be planted, and a copy of the package to plant them in."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final

import attrs

HERE: Final = Path(__file__).parent
PACKAGE: Final = HERE.parents[1] / "meshp2p"


@attrs.frozen
class Bug:
    """One bug as a patch.

    Args:
        text: What is wrong, in a line.
        found_by: Names of invariants, any of which may find it.
        seeds: How many of the campaign it may take.
    """

    name: str
    text: str
    found_by: frozenset[str]
    seeds: int
    path: Path

    @classmethod
    def read(cls, path: Path) -> Bug:
        """Read the header of a patch."""
        head = dict(line.split(": ", 1) for line in path.read_text().splitlines()[:3])
        found_by = frozenset(name.strip() for name in head["Found by"].split(","))
        return cls(path.stem, head["Bug"], found_by, int(head["Seeds"]), path)

    def plant(self, folder: Path, *, remove: bool = False) -> None:
        """Apply the patch to the copy of the package in a folder, or take it out again.

        Raises:
            ValueError: The code has changed so much that it does not fit any more.
        """
        command = ["git", "apply", "--verbose", *(["--reverse"] if remove else []), str(self.path)]
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False
        )  # the git of whoever works here
        if done.returncode or "Skipped" in done.stderr:
            raise ValueError(f"{self.name} does not fit any more: {done.stderr.strip()}")


def all_bugs() -> list[Bug]:
    """Every bug, by name."""
    return [Bug.read(path) for path in sorted(HERE.glob("*.patch"))]


def copy_package(folder: Path) -> None:
    """Put a copy of the package into a folder, without what Python made of it."""
    shutil.copytree(PACKAGE, folder / "meshp2p", ignore=shutil.ignore_patterns("__pycache__"))
