"""Errors of the local endpoint, and how a tool sees them. Texts and codes are go-ethereum's."""

from typing import Any

from qanat.view.gateway import GatewayRefused
from services.gateway.rpc.errors import describe_error as describe_as_gateway
from shared.errors import QanatError, Rejected

INVALID_REQUEST_CODE = -32600
METHOD_MISSING_CODE = -32601
INVALID_PARAMETERS_CODE = -32602
PARSE_CODE = -32700


class BadRpcRequest(Rejected, module="view", code=6):
    """The JSON is no request."""


class NotAnswered(Rejected, module="view", code=7):
    """The method is unknown here, or would show calldata to the gateway."""


class BadParameters(Rejected, module="view", code=8):
    """A parameter is missing or not of its type."""


class ForeignTransaction(Rejected, module="view", code=9):
    """A transaction in plain, signed by a key that is not held here."""


class UnreadableJson(Rejected, module="view", code=10):
    """The body is no JSON."""


class MalformedTransaction(Rejected, module="view", code=11):
    """A raw transaction is none that can be read, so that nobody knows what it shows."""


class QuestionTooLarge(Rejected, module="view", code=14):
    """A question of the owner is longer than a gateway takes."""


class NeedsDebugKey(Rejected, module="view", code=15):
    """What is asked shows what contracts keep, and the network's debug key is not here."""


CODES: dict[type[QanatError], int] = {
    BadRpcRequest: INVALID_REQUEST_CODE,
    NotAnswered: METHOD_MISSING_CODE,
    BadParameters: INVALID_PARAMETERS_CODE,
    QuestionTooLarge: INVALID_PARAMETERS_CODE,
    UnreadableJson: PARSE_CODE,
}
"""Whatever is not here is as at the gateway."""


def describe_error(error: QanatError) -> dict[str, Any]:
    """Give the JSON-RPC error object; the gateway's own go through as they are."""
    if isinstance(error, GatewayRefused):
        return error.error
    if type(error) in CODES:
        return {"code": CODES[type(error)], "message": error.message}
    return describe_as_gateway(error)
