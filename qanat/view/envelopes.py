"""
Calldata envelopes and signed queries, as Sapphire's own clients write them.

Source: oasis-sdk `runtime-sdk/src/callformat.rs`, `modules/evm/src/signed_call.rs` @ 00da39c;
sapphire-paratime `clients/py/sapphirepy/{envelope,sapphire}.py` @ 046ab1e.
"""

import secrets
from dataclasses import dataclass, field

from evm_native import (
    ConfigError,
    InvalidTag,
    deoxysii_seal,
    mrae_key,
    open_result,
    sign_digest,
    x25519_public,
)

from shared.crypto.hashes import keccak256
from shared.encoding import cbor
from shared.errors import Rejected

ENCRYPTED_FORMAT = 1
NONCE_BYTES = 15
KEY_BYTES = 32
BLOCK_RANGE = 15
"""Blocks for which a signed query is good, as oasis-sapphire-py asks for."""


class NotSealedToUs(Rejected, module="view", code=1):
    """An answer is not sealed to the key of its question."""


@dataclass(frozen=True, slots=True)
class EpochKey:
    """The key to which calldata is sealed in an epoch."""

    epoch: int
    key: bytes


@dataclass(frozen=True, slots=True)
class Sealed:
    """Calldata in an envelope, and what opens the answer to it."""

    call: cbor.Value
    """The envelope before it is encoded: `{body: {pk, data, epoch, nonce}, format: 1}`."""
    key: bytes = field(repr=False)

    @property
    def data(self) -> bytes:
        """The envelope as calldata."""
        return cbor.encode(self.call)


def seal(calldata: bytes, to: EpochKey) -> Sealed:
    """Seal calldata; each time with a key and nonce of its own."""
    secret, nonce = secrets.token_bytes(KEY_BYTES), secrets.token_bytes(NONCE_BYTES)
    key = mrae_key(secret, to.key)
    body: cbor.Value = {
        "pk": x25519_public(secret),
        "data": deoxysii_seal(key, nonce, cbor.encode({"body": calldata})),
        "epoch": to.epoch,
        "nonce": nonce,
    }
    return Sealed({"body": body, "format": ENCRYPTED_FORMAT}, key)


def open_answer(untrusted: bytes, key: bytes) -> bytes:
    """
    Open the answer to an encrypted call; what the contract returned.

    Raises
    ------
    NotSealedToUs
        It is not sealed, or to another key.
    """
    try:
        return open_result(key, untrusted)
    except (ConfigError, InvalidTag) as error:
        raise NotSealedToUs(f"the gateway's answer is not sealed to this call: {error}") from None


def is_sealed(calldata: bytes) -> bool:
    """Say whether calldata is an envelope, or a signed query around one."""
    try:
        call = cbor.decode(calldata)
    except cbor.MalformedCbor:
        return False
    if isinstance(call, dict) and {"data", "leash", "signature"} == set(call):
        call = call["data"]
    match call:
        case {"format": 1, "body": {"pk": bytes(), "data": bytes(), "nonce": bytes()}}:
            return True
        case _:
            return False


# -- signed queries ----------------------------------------------------------------------------

DOMAIN_NAME = b"oasis-runtime-sdk/evm: signed query"
DOMAIN_VERSION = b"1.0.0"
DOMAIN_TYPE = b"EIP712Domain(string name,string version,uint256 chainId)"
LEASH_TYPE = b"Leash(uint64 nonce,uint64 blockNumber,bytes32 blockHash,uint64 blockRange)"
CALL_TYPE = (
    b"Call(address from,address to,uint64 gasLimit,uint256 gasPrice,uint256 value,bytes data,"
    b"Leash leash)" + LEASH_TYPE
)


@dataclass(frozen=True, slots=True)
class Leash:
    """What ties a signed query to a place in the chain, so that nobody asks it again later."""

    nonce: int
    """Of the signer's account."""
    block_number: int
    block_hash: bytes
    block_range: int = BLOCK_RANGE


@dataclass(frozen=True, slots=True)
class Query:
    """What is signed of a call, beside its leash."""

    chain_id: int
    caller: bytes
    to: bytes | None
    gas: int
    gas_price: int
    """[wei/gas]"""
    value: int
    """[wei]"""
    data: bytes
    """Calldata in plain."""


def query_digest(query: Query, leash: Leash) -> bytes:
    """Give the EIP-712 digest of a signed query."""
    domain = _struct(
        DOMAIN_TYPE, keccak256(DOMAIN_NAME), keccak256(DOMAIN_VERSION), _word(query.chain_id)
    )
    leashed = _struct(
        LEASH_TYPE,
        _word(leash.nonce),
        _word(leash.block_number),
        leash.block_hash,
        _word(leash.block_range),
    )
    call = _struct(
        CALL_TYPE,
        query.caller.rjust(32, b"\0"),
        (query.to or b"").rjust(32, b"\0"),
        _word(query.gas),
        _word(query.gas_price),
        _word(query.value),
        keccak256(query.data),
        leashed,
    )
    return keccak256(b"\x19\x01" + domain + call)


def pack_query(query: Query, leash: Leash, sealed: Sealed, secret: bytes) -> bytes:
    """Sign a query, and give it as calldata: `{data, leash, signature}`."""
    signature = sign_digest(secret, query_digest(query, leash))
    return cbor.encode(
        {
            "data": sealed.call,
            "leash": {
                "nonce": leash.nonce,
                "block_number": leash.block_number,
                "block_hash": leash.block_hash,
                "block_range": leash.block_range,
            },
            "signature": signature[:64] + bytes([27 + signature[64]]),
        }
    )


def _struct(type_: bytes, *words: bytes) -> bytes:
    return keccak256(keccak256(type_) + b"".join(words))


def _word(number: int) -> bytes:
    return number.to_bytes(32, "big")
