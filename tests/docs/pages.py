"""Takes programs, terminals and what they print out of a Markdown page.

A page marks what runs with a comment above a block of code:

    <!-- file: hello.py -->     a program; it is saved under this name
    <!-- terminal -->           commands after `$ `, and what they print
    <!-- terminal, stays -->    one command that keeps running until the chapter ends

`...` in what is printed stands for anything. A block of IPython (`In [1]: `, `Out[1]: `)
needs no mark.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import attrs

REPOSITORY = Path(__file__).parents[2]
_BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>[^\n]*) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_CHAPTER = re.compile(r"^## ", re.MULTILINE)
_OUTPUT = re.compile(r"^(Out\[(\d+)\]: .*)$", re.MULTILINE)
_PROMPT = "$ "


@attrs.frozen
class Block:
    """One block of code. `mark` is what the comment above it says."""

    mark: str
    language: str
    text: str

    @property
    def commands(self) -> list[str]:
        """Of a terminal."""
        lines = self.text.splitlines()
        return [line.removeprefix(_PROMPT) for line in lines if line.startswith(_PROMPT)]

    @property
    def printed(self) -> list[str]:
        """What a terminal shows besides the commands."""
        return [line for line in self.text.splitlines() if not line.startswith(_PROMPT)]

    @property
    def cells(self) -> list[tuple[str, str]]:
        """Inputs of IPython, each with the line that it prints, or ""."""
        outputs = {number: line for line, number in re.findall(_OUTPUT, self.text)}
        inputs = re.findall(r"^In \[(\d+)\]: (.*)$", self.text, re.MULTILINE)
        return [(source, outputs.get(number, "")) for number, source in inputs]


def chapters(page: Path) -> Iterator[list[Block]]:
    """The blocks of each chapter, as far as there are any to run."""
    for text in _CHAPTER.split(page.read_text()):
        blocks = [
            Block(found["mark"] or "", found["language"], found["text"])
            for found in _BLOCK.finditer(text)
        ]
        if any(block.mark.startswith(("file", "terminal")) for block in blocks):
            yield blocks


def titles(page: Path) -> list[str]:
    """The headings of those chapters."""
    return [
        text.splitlines()[0]
        for text in _CHAPTER.split(page.read_text())
        if "<!-- file" in text or "<!-- terminal" in text
    ]


def fits(printed: str, expected: str) -> bool:
    """Whether a text is what the page says, with `...` for anything."""
    pattern = ".*".join(re.escape(part) for part in expected.split("..."))
    return re.fullmatch(pattern, printed, re.DOTALL) is not None
