"""`meshp2p why NAME`: the reasons of the member that is visited; a guest has none of its own."""

from __future__ import annotations

from argparse import Namespace

from meshp2p.cli import output
from meshp2p.cli.look import visit
from meshp2p.errors import UnknownMember


def why(options: Namespace) -> int:
    """Print what speaks for and against a member, and who said so.

    Raises:
        UnknownMember: The visited member knows nobody of that name.
    """
    with visit(options) as guest:
        view, answers = guest.view, guest.why(options.member)
        alive = len(guest.members(state="alive"))
    if not answers:
        raise UnknownMember(options.member, alive)
    if options.json:
        output.print_json({"view": view, "members": [facts for _, facts in answers]})
        return output.DONE
    print(f"as {output.printable(view)} sees it:")
    for text, _ in answers:
        for line in text.splitlines():
            print(output.printable(line))
    return output.DONE
