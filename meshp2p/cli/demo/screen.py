"""Where the demo is shown: lines that stay, and one at the bottom that moves."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Final, TextIO

import attrs

_WIDEST: Final = 72
_NARROWEST: Final = 24
_BAR: Final = 20
_INDENT: Final = "  "

_BOLD, _DIM, _GREEN, _RED, _CYAN = "1", "2", "32", "31", "36"


@attrs.define
class Screen:
    """Writes for people; plain text unless somebody looks at a terminal.

    Args:
        stream: None to show nothing.
        moves: Whether lines may be coloured and drawn again.
        unicode: Whether the stream can show more than ASCII.
    """

    stream: TextIO | None
    width: int = _WIDEST
    moves: bool = False
    unicode: bool = False
    _live: bool = attrs.field(default=False, init=False)

    @classmethod
    def of(cls, stream: TextIO, environ: Mapping[str, str] = os.environ) -> Screen:
        """What suits the stream and the user's wishes (https://no-color.org)."""
        tty = stream.isatty()
        plain = not tty or bool(environ.get("NO_COLOR")) or environ.get("TERM") == "dumb"
        columns = shutil.get_terminal_size().columns if tty else _WIDEST
        return cls(
            stream,
            width=max(_NARROWEST, min(columns, _WIDEST)),
            moves=not plain,
            unicode=(stream.encoding or "").lower().replace("-", "") == "utf8",
        )

    def title(self, text: str, below: str) -> None:
        """The first lines."""
        self._line(text, _BOLD)
        self._wrapped(below, "", _DIM)

    def scene(self, number: int, text: str) -> None:
        """A heading."""
        self._line("")
        self._wrapped(f"{number} {text}", "", _BOLD, _CYAN)

    def good(self, text: str) -> None:
        """Something was verified."""
        self._marked("✓" if self.unicode else "+", text, _GREEN)

    def bad(self, text: str) -> None:
        """A claim does not hold."""
        self._marked("✗" if self.unicode else "!", text, _RED)

    def note(self, text: str) -> None:
        """Something happens."""
        self._wrapped(text, _INDENT)

    def live(self, text: str) -> None:
        """Something is under way; the next line of any kind takes its place."""
        if self.stream is not None and self.moves:
            self.stream.write(f"\r\x1b[K{_INDENT}{text[: self.width - len(_INDENT) - 1]}")
            self.stream.flush()
            self._live = True

    def progress(self, done: int, total: int, text: str) -> None:
        """The same with a bar."""
        size = min(_BAR, max(4, self.width - len(text) - 12))
        full = size * done // total if total else size
        mark, rest = ("█", "░") if self.unicode else ("#", ".")
        self.live(f"{mark * full}{rest * (size - full)} {done}/{total} {text}")

    def table(self, rows: Sequence[tuple[str, str]]) -> None:
        """What was measured."""
        self._line("")
        names = max(len(name) for name, _ in rows)
        values = max(len(value) for _, value in rows)
        rule = ("─" if self.unicode else "-") * min(self.width, names + values + 2)
        self._line(rule, _DIM)
        for name, value in rows:
            if names + values + 2 <= self.width:
                self._line(f"{name:<{names}}  {value:>{values}}")
            else:
                self._line(name)
                self._line(f"{_INDENT}{value}")
        self._line(rule, _DIM)

    def _marked(self, mark: str, text: str, colour: str) -> None:
        lines = wrap(text, self.width - 4) or [""]
        self._line(f"{_INDENT}{self._painted(mark, colour)} {lines[0]}")
        for line in lines[1:]:
            self._line(f"{_INDENT}{_INDENT}{line}")

    def _wrapped(self, text: str, indent: str, *paint: str) -> None:
        for line in wrap(text, self.width, initial_indent=indent, subsequent_indent=indent):
            self._line(line, *paint)

    def _line(self, text: str, *paint: str) -> None:
        if self.stream is None:
            return
        clear = "\r\x1b[K" if self._live else ""
        self._live = False
        print(clear + self._painted(text, *paint), file=self.stream, flush=True)

    def _painted(self, text: str, *paint: str) -> str:
        return f"\x1b[{';'.join(paint)}m{text}\x1b[0m" if self.moves and paint and text else text


def silent() -> Screen:
    """A screen that nobody looks at."""
    return Screen(None)


def for_people() -> Screen:
    """The process's standard output."""
    return Screen.of(sys.stdout)
