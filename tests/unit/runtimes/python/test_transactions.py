"""Which transactions are in a round, what they pay, and what clients of upstream rely on."""

import dataclasses
from typing import Any

import evm_native
import pytest
from eth_account import Account as EthereumAccount

from qanat.paratime.harness import CHAIN_CONTEXT, RUNTIME_ID, LocalChain
from qanat.paratime.signing import Account, open_result, sign_call
from shared.crypto.address import ethereum_address, sr25519_address
from shared.crypto.hashes import sha512_256
from shared.encoding import cbor
from shared.encoding.values import to_wire
from shared.errors import RuntimeRejected
from shared.types.sdk_transaction import (
    AddressSpec,
    AuthInfo,
    Call,
    Fee,
    SignatureSpec,
    SignerInfo,
    Transaction,
    encode_signed,
    encode_transaction,
    signature_context,
)
from tests.unit.runtimes.python.conftest import MakeChain

ALICE, BOB = Account(b"a" * 32), Account(b"b" * 32)
NOTHING = "@call(gas=1)\ndef run(self, ctx: Context) -> None:\n    pass\n"
TOKENS = 10**21


@pytest.fixture
def chain(make_chain: MakeChain) -> LocalChain:
    made = make_chain(NOTHING, balances={ALICE.address: TOKENS}, min_gas_price=2)
    made.run()
    return made


def refusal(chain: LocalChain, raw: bytes) -> tuple[str, int]:
    """What check says; execution leaves the same transaction out."""
    (checked,) = chain.runtime.check((raw,), chain.context())
    pending = chain.runtime.execute(chain.context(), (raw,))
    if checked.module:
        assert pending.included == ()
        assert pending.refused == (0,)
    return checked.module, checked.code


def signed(chain: LocalChain, **changes: Any) -> bytes:
    fields = {"nonce": chain.nonce(ALICE), "gas": 100_000, "fee": 200_000}
    return chain.sign(ALICE, "one.Run", **(fields | changes))[0]


def spoiled(raw: bytes, **changes: Any) -> bytes:
    """A transaction with other contents, signed well."""
    body = cbor.decode(cbor.decode(raw)[0])
    again = cbor.encode({**body, **changes})
    return encode_signed(again, ALICE.sign(signature_context(RUNTIME_ID, CHAIN_CONTEXT), again))


def test_refusals_have_upstreams_codes(chain: LocalChain) -> None:
    good = signed(chain)
    assert refusal(chain, good) == ("", 0)
    assert refusal(chain, b"\xf6") == ("core", 1)
    assert refusal(chain, bytes.fromhex("d81c81d81d00")) == ("core", 1)
    assert refusal(chain, good[:-1] + bytes([good[-1] ^ 1])) == ("core", 1)
    assert refusal(chain, bytes(200_000)) == ("core", 1)
    assert refusal(chain, spoiled(good, v=2)) == ("core", 1)
    assert refusal(chain, signed(chain, gas=20_000_000, fee=TOKENS)) == ("core", 11)
    assert refusal(chain, signed(chain, gas=1_100, fee=2_200)) == ("core", 12)
    assert refusal(chain, signed(chain, fee=199_999)) == ("core", 20)
    assert refusal(chain, signed(chain, fee=TOKENS + 1)) == ("core", 5)
    assert refusal(chain, signed(chain, not_after=0)) == ("core", 24)
    chain.run(good)
    assert refusal(chain, good) == ("core", 4)
    two_signers = cbor.decode(cbor.decode(good)[0])["ai"]
    two_signers["si"] = two_signers["si"] * 2
    assert refusal(chain, spoiled(good, ai=two_signers)) == ("core", 15)


def test_a_signature_is_for_one_paratime_on_one_network(chain: LocalChain) -> None:
    call = Call(method="one.Run")
    fields: dict[str, Any] = {"nonce": 0, "gas": 100_000, "fee": 200_000}
    here = {"runtime_id": RUNTIME_ID, "chain_context": CHAIN_CONTEXT}
    assert refusal(chain, sign_call(ALICE, call, **fields, **here)) == ("", 0)
    elsewhere = here | {"runtime_id": bytes(32)}
    assert refusal(chain, sign_call(ALICE, call, **fields, **elsewhere)) == ("core", 1)
    another_network = here | {"chain_context": "00" * 32}
    assert refusal(chain, sign_call(ALICE, call, **fields, **another_network)) == ("core", 1)


def test_the_context_of_signatures_is_upstreams() -> None:
    # oasis-sdk client-sdk/go/crypto/signature: base + for chain + hex(H(runtime ‖ chain))
    expected = sha512_256(RUNTIME_ID + CHAIN_CONTEXT.encode()).hex()
    assert signature_context(RUNTIME_ID, CHAIN_CONTEXT) == (
        b"oasis-runtime-sdk/tx: v0 for chain " + expected.encode()
    )


def test_an_ethereum_key_signs_as_well(chain: LocalChain) -> None:
    key = EthereumAccount.from_key(b"\x07" * 32)
    public, private = evm_native.keypair(3, b"\x07" * 32)
    assert len(public) == 33
    spec = AddressSpec(SignatureSpec(secp256k1eth=public))
    info = AuthInfo((SignerInfo(spec, 0),), Fee((0, b""), 50_000))
    chain.runtime._limits = dataclasses.replace(chain.runtime._limits, min_gas_price=0)
    body = encode_transaction(Transaction(1, Call(method="one.Run"), info))
    context = signature_context(RUNTIME_ID, CHAIN_CONTEXT)
    signature = evm_native.sign(3, private, context, body)
    (record,) = chain.run(encode_signed(body, signature))
    assert record.sender == ethereum_address(bytes.fromhex(key.address[2:]))
    assert open_result(record.result, None) is None
    other = encode_signed(body, signature[:-1] + bytes([signature[-1] ^ 1]))
    assert refusal(chain, other) == ("core", 1)


def test_an_sr25519_key_signs_as_well(chain: LocalChain) -> None:
    public, private = evm_native.keypair(6, b"\x07" * 32)
    info = AuthInfo(
        (SignerInfo(AddressSpec(SignatureSpec(sr25519=public)), 0),), Fee((0, b""), 50_000)
    )
    chain.runtime._limits = dataclasses.replace(chain.runtime._limits, min_gas_price=0)
    body = encode_transaction(Transaction(1, Call(method="one.Run"), info))
    context = signature_context(RUNTIME_ID, CHAIN_CONTEXT)
    signature = evm_native.sign_separated("sr25519", private, context, body)
    (record,) = chain.run(encode_signed(body, signature))
    assert record.sender == sr25519_address(public)
    # Sr25519 of the message itself, as contracts ask for it, is not what signs transactions.
    for other in (evm_native.sign(6, private, context, body), signature[::-1], b""):
        assert refusal(chain, encode_signed(body, other)) == ("core", 1)


def test_unused_gas_is_paid_back_and_used_gas_is_not(chain: LocalChain) -> None:
    (record,) = chain.run(signed(chain))
    assert record.fee == 2 * record.gas_used
    held = chain.query("accounts.Balances", {"address": ALICE.address})["balances"]
    assert int.from_bytes(held[b""], "big") == TOKENS - record.fee


def test_the_pool_learns_order_priority_and_weight(chain: LocalChain) -> None:
    raw = signed(chain, nonce=5, gas=50_000, fee=350_000)
    (checked,) = chain.runtime.check((raw,), chain.context())
    assert (checked.sender, checked.sequence, checked.state_sequence) == (ALICE.address, 5, 0)
    assert (checked.priority, checked.weight) == (7, 50_000)
    assert checked.hash == sha512_256(raw)
    pending = chain.runtime.execute(chain.context(), (raw,))
    assert (pending.included, pending.refused) == ((), (0,)), "its turn has not come"


def test_a_batch_takes_what_fits_and_leaves_the_rest(chain: LocalChain) -> None:
    batch = [signed(chain, nonce=n, gas=8_000_000, fee=16_000_000) for n in range(2)]
    batch.append(signed(chain, nonce=1, gas=50_000, fee=100_000))
    pending = chain.runtime.execute(chain.context(), batch)
    assert pending.included[:1] == (0,)
    assert pending.refused == () or pending.refused == (2,)
    spent = chain.runtime.read_spent(pending.results)
    assert [(one.sender, one.sequence) for one in spent][:1] == [(ALICE.address, 0)]


def test_transfers_move_tokens_and_emit_upstreams_event(chain: LocalChain) -> None:
    body = {"to": BOB.address, "amount": [(10**20).to_bytes(9, "big"), b""]}
    chain.send(ALICE, "accounts.Transfer", body, fee=2_000_000)
    held = chain.query("accounts.Balances", {"address": BOB.address})["balances"]
    assert int.from_bytes(held[b""], "big") == 10**20
    ((tag, values),) = chain.records[-1].events
    assert tag == b"accounts" + (1).to_bytes(4, "big")
    assert cbor.decode(values) == [{"from": ALICE.address, **body}]
    with pytest.raises(RuntimeRejected) as refused:
        body["amount"][0] = (TOKENS * 2).to_bytes(9, "big")
        chain.send(ALICE, "accounts.Transfer", body, fee=2_000_000)
    assert (refused.value.module, refused.value.code) == ("accounts", 2)
    assert chain.records[-1].events == ()


def test_estimates_suffice_and_change_nothing(chain: LocalChain) -> None:
    root = chain.header.state_root
    info = AuthInfo((SignerInfo(ALICE.spec, 0),), Fee((0, b""), 0))
    wanted = to_wire(Transaction, Transaction(1, Call(method="one.Run"), info))
    gas = chain.query("core.EstimateGas", wanted)["gas"]
    assert chain.header.state_root == root
    chain.run(signed(chain, gas=gas, fee=2 * gas))
    assert chain.records[-1].gas_used <= gas


def test_unknown_methods_and_wrong_arguments_fail_as_upstream(chain: LocalChain) -> None:
    for method, body, code in [
        ("one.Nothing", None, 3),
        ("accounts.Nonce", {"address": ALICE.address}, 3),
        ("accounts.Transfer", {"to": b"short"}, 10),
        ("accounts.Transfer", 5, 10),
    ]:
        with pytest.raises(RuntimeRejected) as refused:
            chain.send(ALICE, method, body, fee=2_000_000)
        assert (refused.value.module, refused.value.code) == ("core", code), method
    for method in ("one.Run", "nothing.AtAll", ""):
        with pytest.raises(RuntimeRejected, match="invalid method"):
            chain.query(method)


def test_genesis_is_put_in_place_once(make_chain: MakeChain) -> None:
    chain = make_chain(NOTHING, balances={ALICE.address: TOKENS})
    before = chain.query("accounts.Balances", {"address": ALICE.address})["balances"]
    assert before == {}, "round 0 is the empty state"
    for _ in range(3):
        chain.run()
    held = chain.query("accounts.Balances", {"address": ALICE.address})["balances"]
    assert int.from_bytes(held[b""], "big") == TOKENS
