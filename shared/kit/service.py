"""What one server answers: contracts, and the objects that fulfil them, in parts."""

from collections.abc import Mapping
from typing import Any

from shared.encoding.contract import methods_of
from shared.errors import MethodNotFound, Unavailable
from shared.kit.callers import Admits


class PartUnknown(Unavailable, module="peer", code=3):
    """The server has no such part, or not yet: a host does not serve this ParaTime."""


class Service:
    """
    The contracts that one server answers: every method name belongs to one of them.

    A server may have parts with the same contracts, as a host has that serves several ParaTimes.
    Who names no part is answered by the only one.
    """

    def __init__(
        self,
        *served: tuple[type, Any],
        parts: Mapping[str, "Service"] | None = None,
        admits: Admits | None = None,
        knows: Admits | None = None,
    ) -> None:
        """
        Serve objects by their contracts.

        `parts` is kept, not copied: they may open one after the other. `admits` says whose key may
        ask what is for peers; without it nobody may, but what a part admits. `knows` says who
        is no stranger beside these: he gets the limits of a node, and no more rights.
        """
        self._served = served
        self._by_method = {
            name: (contract, implementation)
            for contract, implementation in reversed(served)
            for name in methods_of(contract)
        }
        self._parts = {} if parts is None else parts
        self._admits, self._knows = admits, knows

    def admits(self, node_key: bytes) -> bool:
        """Say whether a node may ask what is for peers."""
        if self._admits is not None:
            return self._admits(node_key)
        return any(part.admits(node_key) for part in self._parts.values())

    def knows(self, node_key: bytes) -> bool:
        """Say whether the owner of a key is no stranger."""
        return self.admits(node_key) or (self._knows is not None and self._knows(node_key))

    def part(self, name: str) -> "Service":
        """Give a part, or raise `PartUnknown`."""
        found = self._parts.get(name)
        if found is None:
            raise PartUnknown(f"no part {name!r} is served here")
        return found

    def find(self, method: str) -> tuple[type, Any]:
        """Give the contract that has the method, and the object that fulfils it."""
        served = self._by_method.get(method)
        if served is not None:
            return served
        if len(self._parts) == 1:
            (only,) = self._parts.values()
            return only.find(method)
        names = ", ".join(contract.__name__ for contract, _ in self._served)
        raise MethodNotFound(f"no method {method!r} in {names or 'an empty service'}")
