"""Judges a certificate in a process that knows two things: the file, and the root's key.

    python -m meshp2p.cli.demo.judge FILE ROOT_PUBLIC_HEX

It joins no mesh and reads no state. Prints one JSON object: whether the file is valid, what
was decided, and how many copies of it with one byte changed were refused, of how many.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

from meshp2p.consensus import verify

_COPIES: Final = 16
"""Spread over the whole file, so that every part of a certificate is hit."""


def judge(data: bytes, root: bytes) -> dict[str, Any]:
    """What the certificate proves, and what copies with one byte changed prove."""
    verdict = verify(data, root)
    places = sorted({len(data) * copy // _COPIES for copy in range(_COPIES)}) if data else []
    refused = sum(not verify(_changed(data, place), root).valid for place in places)
    return {
        "valid": verdict.valid,
        "outcome": verdict.outcome,
        "explanation": verdict.explanation,
        "forged": len(places),
        "refused": refused,
    }


def _changed(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def main() -> None:
    """Judge what the command line names."""
    path, root = sys.argv[1:]
    print(json.dumps(judge(Path(path).read_bytes(), bytes.fromhex(root))))


if __name__ == "__main__":
    main()
