"""`qanat_*`: what came in plain, and what must not."""

from typing import Any

from services.gateway.encryption import (
    EVERYTHING,
    KEPT_MARKS,
    NOTHING,
    EncryptionWatch,
    Mark,
    Required,
    read_required,
)
from services.gateway.rpc.methods import rpc_method
from services.gateway.rpc.parameters import BadParameter, address, count, optional
from services.gateway.rpc.shapes import Json, show_bytes, show_envelope


def required(value: Any) -> Required:
    """`all`, `none`, or a list of addresses."""
    match value:
        case str() if value in (EVERYTHING, NOTHING):
            return Required(everything=value == EVERYTHING)
        case list():
            return read_required([show_bytes(address(one)) for one in value])
        case _:
            raise BadParameter('must be a list of addresses, "all" or "none"')


class EncryptionMethods:
    """Answers of the namespace; they exist only in networks with dev controls."""

    def __init__(self, watch: EncryptionWatch) -> None:
        self._watch = watch

    @rpc_method("qanat_requireEncryption", required)
    async def require_encryption(self, contracts: Required) -> list[str] | str:
        """Fail plain calls and transactions to contracts from now on; which those are."""
        self._watch.required = contracts
        return contracts.describe()

    @rpc_method("qanat_recentCalls", optional(count, KEPT_MARKS))
    async def recent_calls(self, limit: int) -> list[Json]:
        """Calls and transactions as they came, newest first: encrypted or not, and from where."""
        return [_show(mark) for mark in self._watch.newest(limit)]


def _show(mark: Mark) -> Json:
    envelope = mark.envelope
    return {
        "method": mark.method,
        "to": None if mark.to is None else show_bytes(mark.to),
        "encrypted": envelope is not None,
        "envelope": show_envelope(envelope),
        "origin": str(mark.origin),
    }
