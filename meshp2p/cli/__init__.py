"""The `meshp2p` command. `main` is its entry; each command lives in a file of its own."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from meshp2p import cannot_run_here

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: Words after the program's name; None for this process's own.

    Returns:
        The exit status, see `output`.
    """
    # Asked before anything is imported that an old Python cannot read, or Windows lacks.
    reason = cannot_run_here()
    if reason:
        print(reason, file=sys.stderr)
        return 1
    from meshp2p.cli.entry import run

    return run(sys.argv[1:] if argv is None else list(argv))
