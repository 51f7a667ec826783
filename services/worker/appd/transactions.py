"""
Transactions as apps write them, in either form; checked before anything is signed.

Source: oasis-sdk `rofl-appd/src/routes/tx.rs` @ 00da39c. Differs: a creation may leave `to` out, as
upstream's own Python client does.
"""

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt

from services.worker.appd.errors import InvalidArgument, MethodNotAllowed
from shared.errors import Rejected
from shared.types.sdk_transaction import CallFormat, decode_transaction

ALLOWED_METHODS = frozenset(
    {
        "accounts.Transfer",
        "consensus.Deposit",
        "consensus.Withdraw",
        "consensus.Delegate",
        "consensus.Undelegate",
        "evm.Call",
        "evm.Create",
        "rofl.Create",
        "rofl.Update",
        "rofl.Remove",
    }
)
"""What an app may send; `rofl.DeriveKey` is the daemon's alone."""
MAX_INPUT_CHARACTERS = 600_000
_DECIMAL = re.compile(r"[0-9]{1,78}")
_HEX = re.compile(r"0[xX][0-9a-fA-F]{1,64}")
_ADDRESS_BYTES = 20


class EthIn(BaseModel):
    """An Ethereum transaction; numbers as JSON numbers, or text in decimal or `0x…`."""

    model_config = ConfigDict(extra="ignore")
    gas_limit: StrictInt | str
    to: str = Field("", max_length=MAX_INPUT_CHARACTERS)
    value: StrictInt | str
    data: str = Field(max_length=MAX_INPUT_CHARACTERS)


class TaggedEth(BaseModel):
    """Of kind `eth`."""

    kind: Literal["eth"]
    data: EthIn


class TaggedStandard(BaseModel):
    """Of kind `std`: hex of the CBOR of a transaction of the SDK, without signer."""

    kind: Literal["std"]
    data: str = Field(max_length=MAX_INPUT_CHARACTERS)


TransactionIn = Annotated[TaggedEth | TaggedStandard, Field(discriminator="kind")]


@dataclass(frozen=True, slots=True)
class AppTransaction:
    """What is to be signed; nonce, price and payer are the daemon's."""

    method: str
    body: Any
    gas: int


def read_transaction(untrusted: TaggedEth | TaggedStandard) -> AppTransaction:
    """
    Read a transaction.

    Raises
    ------
    InvalidArgument
        A field is malformed, or the call is encrypted already.
    MethodNotAllowed
        Apps may not send it.
    """
    if isinstance(untrusted, TaggedEth):
        return _read_eth(untrusted.data)
    try:
        transaction = decode_transaction(read_hex("data", untrusted.data))
    except Rejected as error:
        raise InvalidArgument(error.message) from error
    call = transaction.call
    if call.format is not CallFormat.PLAIN:
        # An encrypted method name would pass the check below.
        raise InvalidArgument("use the encrypt flag for encryption")
    if call.method not in ALLOWED_METHODS:
        raise MethodNotAllowed("transaction method not allowed")
    return AppTransaction(call.method, call.body, transaction.ai.fee.gas)


def _read_eth(fields: EthIn) -> AppTransaction:
    gas = read_number("gas_limit", fields.gas_limit, bits=64)
    value = read_number("value", fields.value, bits=256).to_bytes(32, "big")
    to, data = read_hex("to", fields.to), read_hex("data", fields.data)
    if not to:
        return AppTransaction("evm.Create", {"value": value, "init_code": data}, gas)
    if len(to) != _ADDRESS_BYTES:
        raise InvalidArgument("malformed address")
    return AppTransaction("evm.Call", {"address": to, "value": value, "data": data}, gas)


def read_number(name: str, untrusted: int | str, *, bits: int) -> int:
    """Read an unsigned number, or raise `InvalidArgument`."""
    if isinstance(untrusted, int):
        number = untrusted
    elif _DECIMAL.fullmatch(untrusted):
        number = int(untrusted)
    elif _HEX.fullmatch(untrusted):
        number = int(untrusted, 16)
    else:
        raise InvalidArgument(f"{name} is not a number in decimal or 0x hex")
    if not 0 <= number < 1 << bits:
        raise InvalidArgument(f"{name} is not a valid unsigned {bits}-bit integer")
    return number


def read_hex(name: str, untrusted: str) -> bytes:
    """Read hex with or without `0x`; a bare `0x`, or white space, raises `InvalidArgument`."""
    digits = untrusted[2:] if untrusted[:2] in ("0x", "0X") else untrusted
    if untrusted and not re.fullmatch(r"([0-9a-fA-F]{2})+", digits):
        raise InvalidArgument(f"{name}: invalid hex string")
    return bytes.fromhex(digits)
