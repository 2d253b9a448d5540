"""From the words of a command line to an exit status."""

from __future__ import annotations

import os
import signal
import sys
from argparse import Namespace
from collections.abc import Sequence

from meshp2p.cli import output
from meshp2p.cli.arguments import parser
from meshp2p.cli.simulate.words import tied
from meshp2p.errors import MeshError


def run(words: Sequence[str]) -> int:
    """Run one command; the exit status, see `output`."""
    as_json = "--json" in words
    try:
        return _run(parser().parse_args(tied(words)))
    except MeshError as error:
        return output.fail(error, as_json=as_json)
    except KeyboardInterrupt:
        return output.interrupted(as_json=as_json)
    except BrokenPipeError:
        # Whoever read our output has seen enough. Python would complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE


def _run(options: Namespace) -> int:
    match options.command:
        case "demo":
            from meshp2p.cli.demo.show import play

            return play(as_json=options.json)
        case "up":
            from meshp2p.cli.up import up

            return up(options)
        case "call":
            from meshp2p.cli.call import call

            return call(options)
        case "simulate":
            from meshp2p.cli.simulate.command import simulate

            return simulate(options)
        case _:
            return _look(options)


def _look(options: Namespace) -> int:
    match options.command:
        case "status":
            from meshp2p.cli.look import status

            return status(options)
        case "why":
            from meshp2p.cli.why import why

            return why(options)
        case _:
            from meshp2p.cli.look import discover

            return discover(options)
