"""
Errors of the JSON-RPC edge, and the one table from errors to JSON-RPC codes and texts.

Source: go-ethereum rpc/errors.go (codes and texts), oasis-web3-gateway rpc/eth/{api,
revert_errors}.go @ 40bf2d3.
"""

from typing import Any

from shared.enclave.errors import RoundPruned
from shared.errors import QanatError, Rejected, RuntimeRejected, Unavailable

REVERT_CODE = 3
NOT_MINED_CODE = 4
NONCE_MISSING_CODE = 6
"""Source: EIP-7966."""
GENERAL_CODE = -32000
RESPONSE_TOO_LARGE_CODE = -32003
INVALID_REQUEST_CODE = -32600
METHOD_MISSING_CODE = -32601
INVALID_PARAMETERS_CODE = -32602
PARSE_CODE = -32700


MALFORMED_TEXT = "malformed transaction"
"""Of a transaction of which a runtime says no more."""


class UnreadableJson(Rejected, module="rpc", code=1):
    """The body is not JSON."""


class InvalidRequest(Rejected, module="rpc", code=2):
    """The JSON is not a request, or an empty batch."""


class MethodMissing(Rejected, module="rpc", code=3):
    """There is no such method, or not over this transport."""


class InvalidParameters(Rejected, module="rpc", code=4):
    """A parameter is missing, too many, or not of its type."""


class ResponseTooLarge(Rejected, module="rpc", code=5):
    """The answers of a batch are larger than one response may be."""


class QueryRejected(Rejected, module="rpc", code=6):
    """The parameters are well formed but ask for something that is not there or not allowed."""


class MalformedTransaction(Rejected, module="rpc", code=7):
    """A raw transaction does not decode, or its signature or chain id is wrong."""

    def __init__(self, why: str = MALFORMED_TEXT) -> None:
        super().__init__(why)


class TransactionTooLarge(Rejected, module="rpc", code=9):
    """A raw transaction is longer than any that the chain takes."""

    def __init__(self, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(
            f"oversized data: transaction size {size_bytes} is too large, limit {limit_bytes}"
        )


class TransactionRefused(Rejected, module="rpc", code=8):
    """The pool refused a transaction; the text is that of the original's client library."""

    def __init__(self, module: str, code: int, message: str) -> None:
        super().__init__(
            "client: transaction check failed: runtime error: "
            f"module: {module} code: {code} message: {message}"
        )
        self.refusal, self.reason = (module, code), message
        """Module and code of who refused, and the text."""


class NotMinedInTime(Unavailable, module="rpc", code=10):
    """The pool took a transaction, and it is in no block after the time that may be waited."""

    def __init__(self, tx_hash: bytes, waited_ms: int) -> None:
        super().__init__(
            "The transaction was added to the transaction pool but wasn't processed in "
            f"{waited_ms} ms"
        )
        self.shown_data = "0x" + tx_hash.hex()


class NonceMissing(Unavailable, module="rpc", code=11):
    """The pool took a transaction, and it waits for one with an earlier nonce."""

    def __init__(self, expected: int) -> None:
        super().__init__(
            "The transaction was added to the transaction pool but waits there for an earlier one: "
            f"nonce {expected} is missing"
        )
        self.shown_data = hex(expected)


class EthereumRejected(Rejected, module="rpc", code=16):
    """A question to an imported chain of Ethereum is refused, with go-ethereum's code and words."""

    def __init__(self, message: str, shown_code: int = GENERAL_CODE) -> None:
        super().__init__(message)
        self.shown_code = shown_code


SIMULATION = "simulation"
"""Module of the enclave whose codes are those of `eth_simulateV1`, without their sign."""


class SimulationRefused(Rejected, module="rpc", code=18):
    """Blocks of a simulation do not follow each other, or are too many; with the method's codes."""

    def __init__(self, message: str, shown_code: int) -> None:
        super().__init__(message)
        self.shown_code = shown_code


CODES: dict[type[QanatError], int] = {
    UnreadableJson: PARSE_CODE,
    InvalidRequest: INVALID_REQUEST_CODE,
    MethodMissing: METHOD_MISSING_CODE,
    InvalidParameters: INVALID_PARAMETERS_CODE,
    ResponseTooLarge: RESPONSE_TOO_LARGE_CODE,
    NotMinedInTime: NOT_MINED_CODE,
    NonceMissing: NONCE_MISSING_CODE,
}
"""Whatever is not here is -32000, but for a revert, which is 3."""


def missing_method(name: str) -> MethodMissing:
    """Make the error for a method that does not exist, in go-ethereum's words."""
    return MethodMissing(f"the method {name} does not exist/is not available")


def describe_error(error: QanatError) -> dict[str, Any]:
    """Give the JSON-RPC error object."""
    if isinstance(error, RuntimeRejected):
        if error.module == "evm" and error.code == 8:
            return _describe_revert(error.data or b"")
        if error.module == SIMULATION:
            return {"code": -error.code, "message": error.message}
        return {"code": GENERAL_CODE, "message": f"{error.module}: {error.message}"}
    described: dict[str, Any] = {
        "code": CODES.get(type(error), GENERAL_CODE),
        "message": error.message,
    }
    if isinstance(error, RoundPruned):
        # How go-ethereum begins, and what clients that fall back to an archive look for.
        described["message"] = f"missing trie node: {error.message}"
    if isinstance(error, EthereumRejected | SimulationRefused):
        described["code"] = error.shown_code
    if isinstance(error, NotMinedInTime | NonceMissing):
        described["data"] = error.shown_data
    return described


def _describe_revert(data: bytes) -> dict[str, Any]:
    reason = revert_reason(data)
    message = "execution reverted" if reason is None else f"execution reverted: {reason}"
    return {"code": REVERT_CODE, "message": message, "data": "0x" + data.hex()}


ERROR_SELECTOR = bytes.fromhex("08c379a0")
"""`Error(string)`"""
PANIC_SELECTOR = bytes.fromhex("4e487b71")
"""`Panic(uint256)`"""
PANICS = {
    0x00: "generic panic",
    0x01: "assert(false)",
    0x11: "arithmetic underflow or overflow",
    0x12: "division or modulo by zero",
    0x21: "enum overflow",
    0x22: "invalid encoded storage byte array accessed",
    0x31: "out-of-bounds array access; popping on an empty array",
    0x32: "out-of-bounds access of an array or bytesN",
    0x41: "out of memory",
    0x51: "uninitialized function",
}
"""Solidity's panic codes. Source: go-ethereum accounts/abi/abi.go."""


def revert_reason(data: bytes) -> str | None:
    """Text of a Solidity `Error` or `Panic`; None for custom errors and other bytes."""
    selector, body = data[:4], data[4:]
    if selector == PANIC_SELECTOR and len(body) == 32:
        code = int.from_bytes(body, "big")
        return PANICS.get(code, f"unknown panic code: {code:#x}")
    if selector != ERROR_SELECTOR or len(body) < 64:
        return None
    start = int.from_bytes(body[:32], "big")
    length = int.from_bytes(body[start : start + 32], "big")
    text = body[start + 32 : start + 32 + length]
    if start + 32 > len(body) or len(text) != length:
        return None
    return text.decode("utf-8", "replace")
