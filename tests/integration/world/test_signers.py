"""Who signs transactions of the SDK's format: several keys for one account."""

import secrets
from dataclasses import dataclass, replace
from typing import Any

import evm_native

from shared.crypto.address import address_of, encode_address
from shared.crypto.hashes import sha512_256
from shared.crypto.signing import Signer
from shared.encoding import cbor
from shared.encoding.values import to_wire
from shared.types.sdk_transaction import (
    NATIVE,
    TRANSACTION_VERSION,
    AuthInfo,
    Call,
    Fee,
    Transaction,
)
from tests.integration.world.test_world import in_a_world
from tests.support.attested_apps import (
    GAS,
    PRICE,
    Client,
    Ed25519Key,
    EthereumKey,
    Sr25519Key,
    fund,
    policy,
)
from tests.support.world import World

CONTEXT = b"oasis-runtime-sdk/address: multisig"
MALFORMED = ("core", 1)
SECP256R1 = 7
"""As precompiles number it."""


class P256Key:
    """Signs for an account of several keys only; accounts of its own it has none."""

    def __init__(self, seed: bytes) -> None:
        self.public_key, self.secret = evm_native.keypair(SECP256R1, seed)
        self.named = {"secp256r1": self.public_key}

    def sign(self, context: bytes, body: bytes) -> bytes:
        return evm_native.sign_separated("secp256r1", self.secret, context, body)


P256 = P256Key(b"\x50" * 32)
ANA, BEN, CEM = Ed25519Key("ana"), EthereumKey(b"\x45" * 32), Ed25519Key("cem")
TO = bytes([0, *secrets.token_bytes(20)])


@dataclass(frozen=True)
class Multisig:
    """Keys with weights, and what they must weigh together."""

    keys: tuple[tuple[Any, int], ...] = ((ANA, 1), (BEN, 2), (CEM, 1))
    threshold: int = 3

    @property
    def config(self) -> dict[str, Any]:
        signers = [{"public_key": key.named, "weight": weight} for key, weight in self.keys]
        return {"signers": signers, "threshold": self.threshold}

    @property
    def address(self) -> bytes:
        return address_of(CONTEXT, cbor.encode(self.config))

    def proof(self, context: bytes, body: bytes, by: tuple[Any, ...]) -> dict[str, Any]:
        signed = [key.sign(context, body) if key in by else None for key, _ in self.keys]
        return {"multisig": signed}


def body_of(call: Call, spec: Any, nonce: int = 0) -> bytes:
    unsigned = AuthInfo((), Fee((GAS * PRICE, NATIVE), GAS))
    wire: Any = to_wire(Transaction, Transaction(TRANSACTION_VERSION, call, unsigned))
    wire["ai"]["si"] = [{"address_spec": spec, "nonce": nonce}]
    return cbor.encode(wire)


def transfer(amount: int = 7) -> Call:
    units = amount.to_bytes(16, "big").lstrip(b"\0")
    return Call({"to": TO, "amount": [units, b""]}, "accounts.Transfer")


OURS = Multisig()


def signed(client: Client, *by: Any, call: Call | None = None, nonce: int = 0) -> bytes:
    body = body_of(call or transfer(), {"multisig": OURS.config}, nonce)
    return cbor.encode([body, [OURS.proof(client.context, body, by)]])


def test_the_address_is_upstreams() -> None:
    # oasis-sdk runtime-sdk/src/types/address.rs @ 00da39c, test_address_multisig
    @dataclass(frozen=True)
    class Named:
        named: dict[str, bytes]

    def key(name: bytes) -> Any:
        signer = Signer(sha512_256(b"oasis-runtime-sdk/test-keys: " + name))
        return Named({"ed25519": signer.public_key})

    both = Multisig(((key(b"alice"), 1), (key(b"bob"), 1)), 2)
    assert encode_address(both.address) == "oasis1qpcprk8jxpsjxw9fadxvzrv9ln7td69yus8rmtux"


def test_enough_of_several_keys_act_for_their_account() -> None:
    async def test(world: World) -> None:
        client = Client(world)
        await fund(client, OURS.address)
        before = await client.balance(OURS.address)
        paid = await client.submit(signed(client, ANA, BEN))
        assert paid.error is None
        assert await client.balance(TO) == 7
        fee = PRICE * paid.record["gas_used"]
        assert await client.balance(OURS.address) == before - 7 - fee
        # Every key is paid for, whether it signed or not, as upstream.
        body = body_of(transfer(), {"multisig": OURS.config})
        assert paid.record["gas_used"] >= len(body) + 3 * 1_000 + 1_000
        assert (await client.submit(signed(client, BEN, CEM, nonce=1))).error is None
        assert (await client.submit(signed(client, ANA, BEN, CEM, nonce=2))).error is None
        assert await client.balance(TO) == 3 * 7

        too_light = [(ANA,), (BEN,), (ANA, CEM), ()]
        for by in too_light:
            assert await client.refusal(signed(client, *by, nonce=3)) == MALFORMED
        again = await client.refusal(signed(client, ANA, BEN, nonce=2))
        assert again == ("core", 4)
        # It has no Ethereum address, so no contract can be called as it.
        call = Call({"address": bytes(20), "value": b"", "data": b""}, "evm.Call")
        assert (await client.submit(signed(client, ANA, BEN, call=call, nonce=3))).error == (
            "evm",
            6,
        )
        await tampered(client)

    in_a_world(test)


async def tampered(client: Client) -> None:
    """What nobody, or everybody, could sign for, and proofs that are not of the body."""
    body = body_of(transfer(), {"multisig": OURS.config}, 4)
    good = OURS.proof(client.context, body, (ANA, BEN))["multisig"]
    other = OURS.proof(client.context, body + b"\0", (ANA, BEN, CEM))["multisig"]
    nine = replace(OURS, keys=tuple((Ed25519Key(f"key {at}"), 1) for at in range(9)), threshold=1)
    proofs: list[Any] = [
        {"multisig": [good[0], good[1], other[2]]},
        {"multisig": other},
        {"multisig": good[:2]},
        {"multisig": [*good, None]},
        {"multisig": [good[1], good[0], None]},
        {"multisig": [good[0], b"", None]},
        {"multisig": [None, None, None]},
        {"multisig": good, "signature": good[0]},
        {"signature": good[0]},
        {},
    ]
    for proof in proofs:
        assert await client.refusal(cbor.encode([body, [proof]])) == MALFORMED, proof
    for spec in (
        replace(OURS, threshold=0),
        replace(OURS, threshold=5),
        replace(OURS, keys=((ANA, 3), (BEN, 0)), threshold=3),
        replace(OURS, keys=((ANA, 2), (ANA, 2)), threshold=3),
        replace(OURS, keys=((ANA, 2**64 - 1), (BEN, 1)), threshold=3),
        replace(OURS, keys=(), threshold=1),
    ):
        body = body_of(transfer(), {"multisig": spec.config})
        by = tuple(key for key, _ in spec.keys)
        raw = cbor.encode([body, [spec.proof(client.context, body, by)]])
        assert await client.refusal(raw) == MALFORMED, spec
    body = body_of(transfer(), {"multisig": nine.config})
    raw = cbor.encode([body, [nine.proof(client.context, body, tuple(k for k, _ in nine.keys))]])
    assert await client.refusal(raw) == ("core", 16)
    both = body_of(transfer(), {"multisig": OURS.config, "signature": ANA.named})
    raw = cbor.encode([both, [OURS.proof(client.context, both, (ANA, BEN))]])
    assert await client.refusal(raw) == MALFORMED


SCHEMES = "keys of scheme {} are not taken for an account; ed25519, secp256k1eth and sr25519 are"


def test_an_sr25519_key_acts_for_its_account() -> None:
    async def test(world: World) -> None:
        client, frank = Client(world), Sr25519Key(b"\x46" * 32)
        await fund(client, frank.address)
        before = await client.balance(frank.address)
        paid = await client.send("accounts.Transfer", transfer(3).body, frank)
        assert paid.error is None
        assert await client.balance(frank.address) == before - 3 - PRICE * paid.record["gas_used"]
        assert (await client.nonce(frank)) == 1
        sealed = await client.send_sealed("accounts.Transfer", transfer(4).body, frank)
        assert sealed.error is None
        # It has no Ethereum address, so no contract can be called as it.
        call = {"address": bytes(20), "value": b"", "data": b""}
        assert (await client.send("evm.Call", call, frank)).error == ("evm", 6)
        # It makes an app, whose admin is its account.
        await fund(client, frank.address, tokens=120)
        body = {"policy": policy(), "scheme": 1, "metadata": {}}
        created = await client.send("rofl.Create", body, frank)
        assert created.error is None
        assert (await client.query("rofl.App", {"id": created.value}))["admin"] == frank.address
        # As one of the keys of an account.
        several = Multisig(((frank, 1), (BEN, 1), (P256, 1)), 2)
        await fund(client, several.address)
        for nonce, by in enumerate(((frank, BEN), (frank, P256), (BEN, P256))):
            body = body_of(transfer(), {"multisig": several.config}, nonce)
            raw = cbor.encode([body, [several.proof(client.context, body, by)]])
            assert (await client.submit(raw)).error is None, by
        body = body_of(transfer(), {"multisig": several.config}, 3)
        raw = cbor.encode([body, [several.proof(client.context, body, (frank,))]])
        assert await client.refusal(raw) == MALFORMED

    in_a_world(test)


def test_a_scheme_that_sapphire_has_not_is_named() -> None:
    async def test(world: World) -> None:
        client = Client(world)
        for named, scheme in ((P256.named, "secp256r1"), ({"bls12381": b"\7" * 48}, "bls12381")):
            body = body_of(transfer(), {"signature": named})
            raw = cbor.encode([body, [{"signature": P256.sign(client.context, body)}]])
            (answer,) = await world.ask("compute-0").submit_transactions((raw,))
            assert (answer.module, answer.code) == MALFORMED
            assert answer.message == "malformed transaction: " + SCHEMES.format(scheme)
        ten = tuple(Ed25519Key(f"signer {at}") for at in range(10))
        raw = await client.sign(transfer(), *ten)
        assert await client.refusal(raw) == ("core", 15)

    in_a_world(test)
