"""What commands print: one JSON object, or sentences; and the exit status that goes with it.

0 done · 1 it failed · 2 the command cannot be meant · 3 nobody is there · 4 no answer in
time, or whoever worked on it was lost: it may have run · 130 interrupted.
"""

from __future__ import annotations

import base64
import json
import re
import sys
from collections.abc import Mapping
from typing import Any, Final

import attrs

from meshp2p.errors import (
    DeadlineExceeded,
    MeshError,
    NoCapableMember,
    OutcomeUnknown,
    StartError,
    UnknownMember,
    Unreachable,
    UsageError,
)

DONE: Final = 0
FAILED: Final = 1
USAGE: Final = 2
NOBODY: Final = 3
IN_DOUBT: Final = 4
INTERRUPTED: Final = 130

_NEXT_STEP: Final = {
    "NoCapableMember": "see what is there with `meshp2p discover`",
    "UnknownMember": "see who is there with `meshp2p status`",
    "DeadlineExceeded": "allow more with --timeout",
}

_TYPED: Final = {
    "bind": "--bind",
    "capabilities": "--capability",
    "capability": "--capability",
    "handle": "--handle",
    "mesh": "--mesh",
    "namespace": "--namespace",
    "pattern": "pattern",
    "seeds": "--seed",
    "state_dir": "--state-dir",
    "target": "NAME",
}
"""Python's arguments, and what stands for them on a command line."""
_ARGUMENT: Final = re.compile(rf"\b({'|'.join(_TYPED)})=(?:(?=['\"])| )")
_PYTHON_ONLY: Final = re.compile(r'; identity="ephemeral"[^;]*')
"""Advice for which there is no option."""


@attrs.frozen(eq=False)
class NobodyThere(MeshError):
    """No node of the mesh was found.

    Args:
        seeds: Where was looked besides this machine.
    """

    seeds: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Say what to do."""
        if self.seeds:
            return (
                f"no node of this mesh answers at {' or '.join(self.seeds)}, and none runs here; "
                "check the address, --mesh and --namespace"
            )
        return "no node of this mesh runs here; start one with `meshp2p up`"


def exit_status(error: MeshError) -> int:
    """The exit status that tells scripts what kind of failure it was."""
    match error:
        case UsageError():
            return USAGE
        case NobodyThere() | NoCapableMember() | UnknownMember():
            return NOBODY
        case DeadlineExceeded() | OutcomeUnknown() | Unreachable(maybe_executed=True):
            return IN_DOUBT
        case _:
            return FAILED


def fail(error: MeshError, *, as_json: bool) -> int:
    """Tell of a failure in one sentence, or one object; return the exit status."""
    status, text = exit_status(error), _in_words_of_the_shell(error)
    if as_json:
        facts = attrs.asdict(error) if attrs.has(type(error)) else {}  # type: ignore[arg-type]  # an attrs class
        facts.update(type=type(error).__name__, message=text, exit_status=status)
        print_json({"error": facts})
        return status
    advice = _NEXT_STEP.get(type(error).__name__)
    print(f"meshp2p: {printable(f'{text}; {advice}' if advice else text)}", file=sys.stderr)
    return status


def _in_words_of_the_shell(error: MeshError) -> str:
    """The error's text, with options for arguments, if it is about these."""
    if not isinstance(error, UsageError | StartError):
        return str(error)
    return _ARGUMENT.sub(lambda found: f"{_TYPED[found[1]]} ", _PYTHON_ONLY.sub("", str(error)))


def interrupted(*, as_json: bool) -> int:
    """Tell that Ctrl-C came first; return the exit status."""
    if as_json:
        facts = {"type": "KeyboardInterrupt", "message": "interrupted", "exit_status": INTERRUPTED}
        print_json({"error": facts})
    else:
        print("meshp2p: interrupted", file=sys.stderr)
    return INTERRUPTED


def print_json(value: Mapping[str, Any]) -> None:
    """Print one object on one line; bytes as {"base64": text}."""
    print(to_json(value), flush=True)


def to_json(value: object, *, indent: int | None = None) -> str:
    """JSON in plain ASCII, so nothing from elsewhere can steer a terminal."""
    return json.dumps(value, default=_bytes_as_base64, indent=indent)


def _bytes_as_base64(value: object) -> object:
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode()}
    return str(value)


def printable(text: str) -> str:
    """One line of the text; what a stranger wrote shall not move the cursor."""
    return "".join(letter if letter.isprintable() else " " for letter in text)
