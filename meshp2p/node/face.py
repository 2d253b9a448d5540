"""What `Node` and `AsyncNode` have in common: who they are, their decorators, their keywords."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar, get_type_hints

from meshp2p.engine import Engine
from meshp2p.ids import show_id
from meshp2p.node.settings import Settings
from meshp2p.runtime.capability import read_listener
from meshp2p.runtime.registry import check_decorator, check_event

_F = TypeVar("_F", bound=Callable[..., Any])
_P = ParamSpec("_P")
_S = TypeVar("_S")
_R = TypeVar("_R")


class Face(ABC):
    """A node as its program sees it, whether its verbs block or are awaited."""

    def __init__(self, settings: Settings) -> None:
        """Nothing runs yet."""
        self._settings = settings
        self._registry = settings.registry

    @property
    @abstractmethod
    def _engine(self) -> Engine:
        """The running engine; raises Closed if there is none."""

    @abstractmethod
    def _publish(self) -> None:
        """Tell the others what the registry holds now."""

    @property
    def id(self) -> str:
        """Its id, 26 letters and digits."""
        return show_id(self._engine.identity.node_id)

    @property
    def handle(self) -> str:
        """Its handle, or ""."""
        return self._settings.handle

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where it listens, as seeds for others."""
        own = self._engine.member(self._engine.identity.node_id)
        return tuple(str(address) for address in own.addresses) if own is not None else ()

    @property
    def root(self) -> bytes:
        """Public key (Ed25519, 32 bytes) of its mesh's root: what certificates are judged by."""
        return self._engine.identity.keys.root_public

    def on_message(self, function: _F) -> _F:
        """Decorate what answers messages to this agent: (Message[, Context]) -> answer."""
        self._registry.on_message = read_listener(function)
        self._publish()
        return function

    def on(self, event: str) -> Callable[[_F], _F]:
        """Decorate what hears of an event, such as "member.failed": (MemberEvent) -> None.

        "members" is told of the same in batches, each when the list has settled:
        (Cut) -> None. "clock.skewed" is told of a wall clock that is wrong: (ClockSkew) -> None.
        """
        check_event(event)

        def register(function: _F) -> _F:
            self._registry.add_listener(event, function)
            return function

        return register

    def on_bid(self, pattern: str = "*") -> Callable[[_F], _F]:
        """Decorate what bids: (Offer) -> Bid or None."""
        check_decorator("on_bid", pattern)

        def register(function: _F) -> _F:
            self._registry.add_bidder(pattern, function)
            return function

        return register

    def on_vote(self, pattern: str = "*") -> Callable[[_F], _F]:
        """Decorate what votes: (VoteCall) -> option, Ballot or None to abstain."""
        check_decorator("on_vote", pattern)

        def register(function: _F) -> _F:
            self._registry.add_voter(pattern, function)
            return function

        return register


def takes(
    like: Callable[_P, object],
) -> Callable[[Callable[Concatenate[_S, ...], _R]], Callable[Concatenate[_S, _P], _R]]:
    """Decorate a method that takes what `like` does, for type checkers and for `inspect`.

    So the blocking verb and the awaited one have one list of keywords and defaults.
    """

    def declare(method: Callable[Concatenate[_S, ...], _R]) -> Callable[Concatenate[_S, _P], _R]:
        signature = inspect.signature(method)
        itself, *_ = signature.parameters.values()
        theirs = inspect.signature(like).parameters.values()
        method.__signature__ = signature.replace(parameters=[itself, *theirs])  # type: ignore[attr-defined]  # as PEP 362 says
        result = method.__annotations__["return"]
        method.__annotations__ = {**get_type_hints(like), "return": result}
        return method

    return declare
