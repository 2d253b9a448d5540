"""The `meshp2p` command. `main` is its entry; each command lives in a file of its own."""

from meshp2p.cli.entry import main

__all__ = ["main"]
