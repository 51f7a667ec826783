"""
The module `core`: what concerns every transaction. Source: oasis-sdk
`runtime-sdk/src/modules/core` @ 00da39c.
"""

from dataclasses import dataclass
from typing import Any

from runtimes.python.context import Context
from runtimes.python.module import Module
from runtimes.python.state import Value
from shared.encoding import cbor
from shared.types.sdk_transaction import AuthInfo, Call, Quantity

TX_BYTE_GAS = 1
"""Of each byte of the raw transaction [gas]."""
SIGNATURE_GAS = 1_000
"""Of the verification of a signature [gas]."""
MAX_TX_BYTES = 128 << 10
QUERY_GAS = 10_000_000
"""Most that a question may use [gas]."""


@dataclass(frozen=True, slots=True)
class EstimateGas:
    """Arguments of `core.EstimateGas`: a transaction without its proof."""

    v: int
    call: Call
    ai: AuthInfo


@dataclass(frozen=True, slots=True)
class Gas:
    """Answer of `core.EstimateGas` [gas]."""

    gas: int


@dataclass(frozen=True, slots=True)
class ReadOnlyTransaction:
    """Arguments of `core.ExecuteReadOnlyTx`: a signed transaction whose call is `ro`."""

    tx: bytes


@dataclass(frozen=True, slots=True)
class MinGasPrice:
    """By denomination [base units/gas]."""

    prices: dict[bytes, Quantity]


@dataclass(frozen=True, slots=True)
class RuntimeInfo:
    """What the program offers."""

    name: str
    confidential: bool
    methods: tuple[str, ...]
    queries: tuple[str, ...]


class Core(Module):
    """Marks that the first state is in place."""

    name = "core"
    is_public = True
    started = Value(bool, False)

    def genesis(self, ctx: Context) -> None:
        """Mark it."""
        self.started.set(ctx, True)


def fail(module: str, code: int, message: str) -> dict[str, Any]:
    """Make the result of a call that failed."""
    return {"fail": {"module": module, "code": code, "message": message}}


def ok(value: cbor.Value) -> dict[str, Any]:
    """Make the result of a call that succeeded."""
    return {"ok": value}
