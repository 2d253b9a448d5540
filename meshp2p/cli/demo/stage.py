"""The temporary directory of one run: if the demo is killed, the last agent clears it away."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path
from typing import Self


class Stage:
    """A share in a directory. The kernel takes it back from a process that is killed.

    The demo itself has one and clears up in the ordinary way, so an agent is the last
    only if the demo was killed.
    """

    def __init__(self, folder: Path, held: int) -> None:
        """For `enter` alone."""
        self._folder = folder
        self._held = held

    @classmethod
    def enter(cls, folder: Path) -> Self:
        """Take a share.

        Raises:
            OSError: The directory is not there any more.
        """
        held = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        fcntl.flock(held, fcntl.LOCK_SH)
        return cls(folder, held)

    def leave(self) -> None:
        """Give the share back, and remove the directory if nobody else has one."""
        try:
            # Who asks gives up its share even if it gets nothing, so the last one gets all.
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass
        else:
            shutil.rmtree(self._folder, ignore_errors=True)
        os.close(self._held)
