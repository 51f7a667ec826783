"""
What calls pretend: another state, another block, accounts that take on code first.

Only the enclave of a public ParaTime takes that from anybody: who pretends code in the place of a
contract's reads its storage. On a confidential one it has no effect, as on Sapphire, or is refused.
"""

from typing import Any

import orjson

from services.gateway.authorizations import show_authorizations
from services.gateway.rpc.errors import InvalidParameters, QueryRejected
from services.gateway.rpc.objects import CallRequest
from shared.errors import RuntimeRejected
from shared.types.evm import MAX_PRETENCE_BYTES

UNREADABLE = ("trace", 2)
"""Module and code with which the enclave refuses what it cannot read."""
NOBODY = "0x" + "00" * 20
"""Sender of a call that names none."""
NOT_HERE = (
    "overrides and authorizations have no effect on a confidential ParaTime: with code of his own "
    "in a contract's place anybody would read its storage. The profile strict ignores them, as "
    "Sapphire does"
)


class Pretences:
    """Reads what calls pretend, as far as this network and profile let them."""

    def __init__(self, *, confidential: bool, strict: bool) -> None:
        self._confidential, self._strict = confidential, strict

    def read(
        self, request: CallRequest, state: Any, block: Any, *, lends_to_nobody: bool = False
    ) -> bytes:
        """
        Give what a call pretends, in the JSON that the enclave reads; nothing where it does not.

        A call without a sender may have the money that it sends lent, on a public ParaTime; on a
        confidential one that is asked of the enclave by a question of its own.

        Raises `InvalidParameters`, and `QueryRejected` where it has no effect and that is told.
        """
        pretended = {}
        if not self._confidential:
            named = (("state", state), ("block", block))
            pretended = {name: _object(name, value) for name, value in named if value is not None}
            if lends_to_nobody and request.caller is None and request.value:
                lent = {NOBODY: {"balance": hex(request.value)}}
                pretended["state"] = lent | pretended.get("state", {})
            if request.authorizations:
                pretended["authorizationList"] = show_authorizations(request.authorizations)
        elif not self._strict and (state or block or request.authorizations):
            raise QueryRejected(NOT_HERE)
        text = orjson.dumps(pretended) if any(pretended.values()) else b""
        if len(text) > MAX_PRETENCE_BYTES:
            raise InvalidParameters(f"overrides are over {MAX_PRETENCE_BYTES} bytes")
        return text


class TellingWhatIsUnreadable:
    """Shows what the enclave cannot read as a bad parameter, while the context is open."""

    def __enter__(self) -> None:
        """Begin; there is nothing to remember."""

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        """Raise `InvalidParameters` for what the enclave could not read."""
        if isinstance(error, RuntimeRejected) and (error.module, error.code) == UNREADABLE:
            raise InvalidParameters(error.message) from None


TELLING_WHAT_IS_UNREADABLE = TellingWhatIsUnreadable()
"""One for all: a generator's context for each call takes a thirtieth of what the gateway does."""


def _object(name: str, value: Any) -> Any:
    if type(value) is not dict:
        raise InvalidParameters(f"overrides of the {name} must be an object")
    return value
