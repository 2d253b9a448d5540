"""The words of the `meshp2p` command."""

from __future__ import annotations

import argparse
from typing import Final, NoReturn

from meshp2p.cli.simulate.words import simulate_options
from meshp2p.errors import UsageError

_TOP: Final = """\
examples:
  meshp2p demo                     see a mesh at work, and survive a kill
  meshp2p up --handle alice        run a node until Ctrl-C
  meshp2p status                   who is there
  meshp2p discover 'text.*'        who can do what
  meshp2p why bob                  why he is alive, suspect or dead, and who says so
  meshp2p call echo '"hello"'      call a capability
  meshp2p simulate swarm           see what a mesh survives

exit status:
  0 done   1 failed   2 wrong usage   3 nobody there
  4 no answer in time, or lost: it may have run   130 interrupted
"""

_MAX_SECONDS: Final = 1e9
"""As calls have it: thirty years."""


class Parser(argparse.ArgumentParser):
    """Wrong words are a `UsageError`, like wrong arguments everywhere else."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and where help is.

        Raises:
            UsageError: Always.
        """
        raise UsageError(f"{message}; see `{self.prog} --help`")


def parser() -> Parser:
    """All commands and their options."""
    top = Parser(
        prog="meshp2p",
        description="A mesh of agents without a coordinator.",
        epilog=_TOP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    demo = _command(commands, "demo", "five agents find each other, work, and survive a kill")
    demo.description = (
        "Five agents in processes of their own find each other, call each other, hold an auction "
        "and a vote; then the busiest is killed and its work finishes elsewhere. Everything "
        "happens in a temporary directory; exit status 0 means that every claim was verified."
    )
    up = _command(commands, "up", "run a node, with an `echo` capability, until Ctrl-C")
    _mesh_options(up)
    up.add_argument("--handle", help="what others may call it")
    up.add_argument(
        "--capability",
        action="append",
        default=[],
        metavar="NAME",
        help="announce a label; may be repeated",
    )
    up.add_argument("--bind", metavar="HOST:PORT", help="where to listen; default: a free port")
    _mesh_options(_command(commands, "status", "the members, as one of them sees them"))
    discover = _command(commands, "discover", "which capabilities there are, and who has them")
    _mesh_options(discover)
    discover.add_argument("pattern", nargs="?", default="*", help="`x`, `x.*` or `*` (default)")
    why = _command(commands, "why", "why a member is taken for what it is, and who says so")
    _mesh_options(why)
    why.add_argument("member", metavar="NAME", help="handle, @handle, or # and part of an id")
    _call(_command(commands, "call", "call a capability or an agent"))
    simulate_options(_command(commands, "simulate", "meshes in virtual time, under every fault"))
    return top


def _call(call: argparse.ArgumentParser) -> None:
    _mesh_options(call)
    call.add_argument(
        "target",
        metavar="NAME",
        help="capability, @handle/capability, #id/capability, @handle or #id",
    )
    call.add_argument(
        "arguments",
        metavar="JSON",
        nargs="?",
        help="an object: keywords; an array: positional; else: one argument. For @handle and "
        "#id: the message, whatever it is",
    )
    call.add_argument(
        "--timeout", type=_seconds, default=None, metavar="SECONDS", help="default: 30"
    )


def _command(
    commands: argparse._SubParsersAction[Parser],  # it has no public name
    name: str,
    text: str,
) -> Parser:
    command = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
    command.add_argument("--json", action="store_true", help="print one JSON object")
    return command


def _mesh_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--seed",
        action="append",
        default=[],
        metavar="HOST:PORT",
        help="a node to join or look through; may be repeated",
    )
    command.add_argument("--mesh", metavar="PATH", help="a mesh key that was copied from elsewhere")
    command.add_argument("--namespace", default="default", help="default: default")
    command.add_argument("--state-dir", metavar="PATH", help="where keys and journals live")


def _seconds(text: str) -> float:
    """Read a time.

    Raises:
        ArgumentTypeError: Not a number of seconds above 0.
    """
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= _MAX_SECONDS:
        raise argparse.ArgumentTypeError(
            f"{text!r}: allowed are seconds above 0, at most {_MAX_SECONDS:g}"
        )
    return seconds
