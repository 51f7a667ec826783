"""The native core against vectors of others; Rust reads the same files in `crates/evm-core`."""

import json
from pathlib import Path
from typing import Any

import cbor2
import evm_native as native
import pytest

from tests.unit.native.chain import ECHO, Chain, deployer, environment

FOLDER = Path(__file__).parent


def load(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{name}.json").read_text())


def unhex(vector: dict[str, Any], *names: str) -> list[bytes]:
    return [bytes.fromhex(vector[name]) for name in names]


DEOXYSII = load("deoxysii")
PRIMITIVES = load("primitives")
SIGNATURES = load("signatures")
ENVELOPE = load("envelope")
SIGNED_QUERY = load("signed-query")


@pytest.mark.parametrize("vector", DEOXYSII["official"] + PRIMITIVES["deoxysii"])
def test_deoxysii_agrees_with_its_designers(vector: dict[str, Any]) -> None:
    key, nonce, ad, message, sealed = unhex(
        vector, "key", "nonce", "associated", "message", "sealed"
    )
    assert native.deoxysii_seal(key, nonce, message, ad) == sealed
    assert native.deoxysii_open(key, nonce, sealed, ad) == message
    with pytest.raises(native.InvalidTag):
        native.deoxysii_open(key, nonce, sealed[:-1] + bytes([sealed[-1] ^ 1]), ad)


def test_deoxysii_agrees_at_every_length() -> None:
    lengths = DEOXYSII["lengths"]
    key, nonce, message, ad = unhex(lengths, "key", "nonce", "message", "associated")
    for length, sealed in enumerate(lengths["sealed"]):
        made = native.deoxysii_seal(key, nonce, message[:length], ad[:length])
        assert made.hex() == sealed


def test_hashes_and_public_keys_agree() -> None:
    for vector in PRIMITIVES["sha512_256"]:
        message, digest = unhex(vector, "message", "hash")
        assert native.sha512_256(message) == digest
    for vector in PRIMITIVES["x25519_public"]:
        secret, public = unhex(vector, "secret", "public")
        assert native.x25519_public(secret) == public


@pytest.mark.parametrize("vector", SIGNATURES["keys"])
def test_key_pairs_agree(vector: dict[str, Any]) -> None:
    (seed,) = unhex(vector, "seed")
    public, _ = native.keypair(vector["algorithm"], seed)
    assert public.hex() == vector["public"]


@pytest.mark.parametrize("vector", SIGNATURES["signatures"])
def test_deterministic_signatures_agree(vector: dict[str, Any]) -> None:
    seed, context, message, signature = unhex(vector, "seed", "context", "message", "signature")
    public, secret = native.keypair(vector["algorithm"], seed)
    assert native.sign(vector["algorithm"], secret, context, message) == signature
    assert native.verify(vector["algorithm"], public, context, message, signature)


@pytest.mark.parametrize("vector", SIGNATURES["verifications"])
def test_verdicts_agree(vector: dict[str, Any]) -> None:
    fields = unhex(vector, "public", "context", "message", "signature")
    assert native.verify(vector["algorithm"], *fields) is vector["valid"]


def test_envelope_of_the_clients_opens_and_its_answer_is_sealed_as_theirs() -> None:
    secret, public, client, key = unhex(
        ENVELOPE, "runtime_secret", "client_public", "client_secret", "key"
    )
    assert native.mrae_key(secret, public) == key
    assert native.mrae_key(client, native.x25519_public(secret)) == key
    chain = Chain()
    echo = chain.deploy(deployer(ECHO))
    env = chain.environment(epoch=ENVELOPE["epoch"], call_keys={ENVELOPE["epoch"]: secret})
    (envelope,) = unhex(ENVELOPE, "envelope")
    answer = chain.engine.call(env, **chain.call_fields(echo, envelope))
    assert native.open_result(key, answer).hex() == ENVELOPE["calldata"]
    (ok,) = unhex(ENVELOPE, "ok")
    assert native.open_result(key, ok).hex() == ENVELOPE["output"]


def test_transaction_seals_its_result_under_the_nonce_of_the_vector() -> None:
    """Round 7 and index 3 of the vector: its output, returned by a contract, gives its bytes."""
    secret, envelope = unhex(ENVELOPE, "runtime_secret", "envelope")
    chain = Chain()
    # Returns 42 as a word, whatever it is asked.
    contract = chain.deploy(deployer(bytes.fromhex("602a5f5260205ff3")))
    while chain.round < 7:
        chain.run()
    env = chain.environment(epoch=ENVELOPE["epoch"], call_keys={ENVELOPE["epoch"]: secret})
    plain = [chain.sign(to=contract, nonce=nonce) for nonce in range(1, 4)]
    batch = [*plain, chain.sign(to=contract, nonce=4, data=envelope)]
    block = chain.engine.execute(env, batch, strict=True)
    assert env.parent_round == 7
    assert cbor2.loads(block.results[3])["output"].hex() == ENVELOPE["ok"]


def test_signed_query_of_upstream_is_the_signers() -> None:
    vector = SIGNED_QUERY["queries"][0]
    caller, to, pack, base = unhex(
        vector | {"base": vector["leash"]["block_hash"]}, "from", "to", "pack", "base"
    )
    config = native.ChainConfig(chain_id=vector["chain_id"])
    engine = native.Engine(config, native.Store.memory(), state_key=lambda _: bytes(32))
    number = vector["leash"]["block_number"]
    env = environment(number + 2, grandparent_hash=base)
    fields = {
        "version": 0,
        "caller": caller,
        "to": to,
        "gas": vector["gas_limit"],
        "gas_price": vector["gas_price"],
        "value": vector["value"],
        "data": pack,
    }
    # It is accepted, and then 10 units of gas are not enough for anything.
    with pytest.raises(native.CallFailed, match="out of gas"):
        engine.call(env, **fields)
    for change in ({"caller": to}, {"gas": 11}, {"value": 43}, {"gas_price": 124}, {"to": caller}):
        with pytest.raises(native.CallFailed) as caught:
            engine.call(env, **fields | change)
        assert caught.value.code == 10
        assert caught.value.message == "invalid signed simulate call query: signer != caller"
    late = environment(number + 6, grandparent_hash=base)
    with pytest.raises(native.CallFailed, match="base block not found"):
        engine.call(late, **fields)
