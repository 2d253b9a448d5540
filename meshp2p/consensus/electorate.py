"""Whether the people named in a vote are who the proposal says they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from meshp2p.consensus.ballot import Elector, Proposal
from meshp2p.errors import CredentialError
from meshp2p.identity.credential import CHILD, Credential


def people_of(proposal: Proposal) -> Sequence[Elector]:
    """Everyone whose credential a vote rests on: the caller and all electors."""
    return (proposal.caller, *proposal.electors)


def check_credential(
    person: Elector, proposal: Proposal, prove: Callable[[bytes], Credential]
) -> None:
    """Accept a person's chain as proof of what the proposal says about it.

    Args:
        prove: Verifies a chain as of the proposal's wall time.

    Raises:
        CredentialError: It proves something else; the text says what.
        WireError: It is not a chain.
    """
    credential = prove(person.chain)
    if credential.kind == CHILD:
        raise CredentialError(f"{person.name} is a guest, which any member can make")
    if credential.node_key != person.node_key:
        raise CredentialError(f"{person.name}'s credential belongs to somebody else")
    if credential.transport_key is not None:
        raise CredentialError(f"{person.name}'s credential shows a transport key of the day")
    if not credential.allows_namespace(proposal.namespace):
        raise CredentialError(f"{person.name} is not of namespace {proposal.namespace!r}")
    if person.handle and not credential.allows_handle(person.handle):
        raise CredentialError(f"{person.name} may not be called {person.handle!r}")
