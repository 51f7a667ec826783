"""
The readiness probe: one call through one node, encrypted as a Sapphire client makes it.

Seals an envelope to the epoch's key with a throw-away key pair, calls an address that has no code,
and opens the sealed answer. Only a node whose enclave holds this epoch's keys can answer.
Source: spec of the calldata envelope, `format` 1 (X25519, Deoxys-II).
"""

from typing import Any

from evm_native import InvalidTag, deoxysii_open, deoxysii_seal, mrae_key, x25519_public

from shared.api.compute import CallDataKey, ComputeApi
from shared.api.evm import EvmQueries
from shared.crypto.entropy import Entropy
from shared.encoding import cbor
from shared.errors import Unavailable
from shared.types.evm import EvmCall

ENCRYPTED_FORMAT = 1
NONCE_BYTES = 15
PROBE_GAS = 1_000_000
NO_CODE = bytes.fromhex("00000000000000000000000000000000716b6e61")
"""An address at which no contract is [20 bytes]; nobody knows a key for it."""


class ProbeFailed(Unavailable, module="gateway", code=4):
    """A node did not answer an encrypted call with a sealed, empty success."""


class EncryptedCallProbe:
    """Makes probes; every one with a fresh key and nonce."""

    def __init__(self, entropy: Entropy) -> None:
        self._entropy = entropy

    async def check(self, api: ComputeApi) -> int:
        """
        Send one encrypted call through a node; the epoch whose key was used.

        Raises
        ------
        ProbeFailed
            The answer was not sealed to us, or not the empty success that it must be.
        Unavailable, RuntimeRejected
            The node could not answer.
        """
        key = await api.fetch_call_data_key()
        secret = self._entropy.draw("gateway/probe: key")
        shared_key = mrae_key(secret, key.public_key.key)
        answer = await EvmQueries(api).call(
            EvmCall(
                caller=bytes(20),
                to=NO_CODE,
                gas=PROBE_GAS,
                gas_price=1,
                value=0,
                data=self._seal_call(secret, shared_key, key),
            )
        )
        if _open_answer(shared_key, answer) != b"":
            raise ProbeFailed("the call to an empty address gave output")
        return key.epoch

    def _seal_call(self, secret: bytes, shared_key: bytes, key: CallDataKey) -> bytes:
        nonce = self._entropy.draw("gateway/probe: nonce", NONCE_BYTES)
        inner = cbor.encode({"body": b""})
        return cbor.encode(
            {
                "format": ENCRYPTED_FORMAT,
                "body": {
                    "pk": x25519_public(secret),
                    "nonce": nonce,
                    "epoch": key.epoch,
                    "data": deoxysii_seal(shared_key, nonce, inner),
                },
            }
        )


class PlainCallProbe:
    """Makes probes where nothing is encrypted: a public ParaTime has no calldata key."""

    async def check(self, api: ComputeApi) -> int:
        """
        Send one plain call through a node; the epoch in which it stands.

        Raises
        ------
        ProbeFailed
            The answer was not the empty success that it must be.
        Unavailable, RuntimeRejected
            The node could not answer.
        """
        status = await api.fetch_status()
        call = EvmCall(bytes(20), NO_CODE, PROBE_GAS, gas_price=0, value=0, data=b"")
        if not status.is_ready:
            raise ProbeFailed("the node is not ready")
        if await EvmQueries(api).call(call) != b"":
            raise ProbeFailed("the call to an empty address gave output")
        return status.epoch


def _open_answer(shared_key: bytes, answer: bytes) -> Any:
    match cbor.decode(answer) if answer else None:
        case {"ok": {"data": bytes(data), "nonce": bytes(nonce)}}:
            inner = _open(shared_key, nonce, data)
        case _:
            raise ProbeFailed("the answer is not sealed")
    match cbor.decode(inner):
        case {"ok": bytes(output)}:
            return output
        case _:
            raise ProbeFailed("the sealed answer is no success")


def _open(shared_key: bytes, nonce: bytes, sealed: bytes) -> bytes:
    try:
        return deoxysii_open(shared_key, nonce, sealed)
    except InvalidTag as error:
        raise ProbeFailed("the answer is not sealed to our key") from error
