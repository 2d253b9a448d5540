"""`meshp2p call`: one call, as a guest."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from typing import Any

from meshp2p.cli import output
from meshp2p.cli.look import visit
from meshp2p.errors import UsageError
from meshp2p.messaging.resolver import parse_target
from meshp2p.runtime.capability import RESERVED
from meshp2p.wire.messages import ON_MESSAGE


def call(options: Namespace) -> int:
    """Make the call and print its answer.

    Raises:
        MeshError: It failed; `output` knows the exit status.
    """
    args, kwargs = read_arguments(options.target, options.arguments)
    with visit(options) as guest:
        answer = guest.call(options.target, *args, timeout=options.timeout, **kwargs)
    if options.json:
        output.print_json({"result": answer})
    else:
        print(output.to_json(answer, indent=2 if sys.stdout.isatty() else None))
    return output.DONE


def read_arguments(target: str, text: str | None) -> tuple[list[Any], dict[str, Any]]:
    """What the JSON of a call means.

    Args:
        target: As for `Node.call`; an agent alone takes any JSON as its message.
        text: JSON: an object is keywords, an array positional, all else one argument.

    Raises:
        UsageError: No JSON, or keywords that calls keep for themselves.
    """
    is_message = parse_target(target).method == ON_MESSAGE
    if text is None:
        return ([None], {}) if is_message else ([], {})
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"JSON={text!r} is no JSON ({error}); a text needs quotes of its own: '\"hello\"'"
        ) from error
    if is_message:
        return [value], {}
    if isinstance(value, list):
        return value, {}
    if not isinstance(value, dict):
        return [value], {}
    taken = sorted(RESERVED & value.keys())
    if taken:
        raise UsageError(f"JSON={text!r}: {taken[0]!r} is a keyword of calls; see --timeout")
    return [], value
