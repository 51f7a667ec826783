"""Authentication, fees, nonces, sizes, and that a failure leaves nothing behind."""

from dataclasses import replace

import pytest

from services.consensus.abci import Block
from services.consensus.rules import transactions
from services.consensus.rules.staking.ledger import (
    COMMON_POOL,
    FEE_ACCUMULATOR,
    InsufficientBalance,
)
from shared.api.consensus import InvalidNonce
from shared.crypto.address import encode_address, staking_address
from shared.encoding.record import decode_record, encode_record
from shared.rules.headers import validator_address
from shared.types.genesis import ConsensusParameters
from shared.types.methods import Method, Transfer
from shared.types.transaction import CONSENSUS_TRANSACTION, Fee, SignedTransaction, Transaction
from tests.support.consensus_world import BALANCE, COMPUTE, World, make_genesis, signer
from tests.support.hostile import hostile_bytes

ALICE, BOB = COMPUTE[0], COMPUTE[1]
STRANGER = signer("without a single token")


def transfer(amount: int = 1) -> Transfer:
    return Transfer(BOB.address, amount)


def priced(**limits) -> World:
    return World(make_genesis(consensus=ConsensusParameters(**limits)))


def test_reserved_addresses_are_upstreams():
    assert encode_address(COMMON_POOL) == "oasis1qrmufhkkyyf79s5za2r8yga9gnk4t446dcy3a5zm"
    assert encode_address(FEE_ACCUMULATOR) == "oasis1qqnv3peudzvekhulf8v3ht29z4cthkhy7gkxmph5"


def test_nonces_rise_by_one_with_every_transaction():
    world = World()
    txs = [world.tx(ALICE.entity, Method.TRANSFER, transfer()) for _ in range(3)]
    assert [result.code for result in world.block(*txs)] == [0, 0, 0]
    assert world.account(ALICE).nonce == 3
    assert world.account(ALICE).balance == BALANCE - 3


@pytest.mark.parametrize("nonce", [1, 2**63])
def test_wrong_nonce_is_refused_by_the_pool_and_left_out_of_the_block(nonce):
    world = World()
    tx = world.tx(ALICE.entity, Method.TRANSFER, transfer(), nonce=nonce)
    result = world.app.check_tx(tx, False)
    assert (result.codespace, result.code) == ("transaction", InvalidNonce.code)
    assert world.block(tx) == ()
    assert world.account(ALICE).nonce == 0


def test_a_transaction_does_not_run_twice():
    world = World()
    tx = world.tx(ALICE.entity, Method.TRANSFER, transfer())
    assert world.block(tx, tx)[0].code == 0
    assert world.account(BOB).balance == BALANCE + 1
    assert world.block(tx) == ()


def test_a_transaction_of_another_network_is_refused():
    world = World()
    other = make_genesis(chain_id="another").chain_context()
    tx = world.tx(ALICE.entity, Method.TRANSFER, transfer(), chain=other)
    assert world.app.check_tx(tx, False).codespace == "crypto"
    assert world.block(tx) == ()


def test_failed_method_keeps_nonce_and_fee_and_nothing_else():
    world = World()
    body = transfer(BALANCE * 2)
    result = world.run(ALICE.entity, Method.TRANSFER, body, fee=Fee(7, 1))
    assert (result.codespace, result.code) == ("staking", InsufficientBalance.code)
    assert world.account(ALICE).nonce == 1
    assert world.account(ALICE).balance == BALANCE - 7
    assert world.account(BOB).balance == BALANCE
    assert world.account(COMMON_POOL).balance == 7  # the proposer is no registered node


def test_fee_above_the_balance_has_no_place_in_a_block():
    world = World()
    tx = world.tx(ALICE.entity, Method.TRANSFER, transfer(), fee=Fee(BALANCE + 1, 1))
    assert world.block(tx) == ()
    assert world.account(ALICE).balance == BALANCE


@pytest.mark.parametrize("fee", [{"amount": -5, "gas": 1}, {"amount": 1, "gas": -5}])
def test_negative_fee_is_refused(fee):
    world = World()
    raw = hostile_bytes(
        Transaction(0, Method.TRANSFER, encode_record(Transfer(BOB.address, 1))), fee=fee
    )
    context = CONSENSUS_TRANSACTION.for_chain(world.chain_context)
    tx = encode_record(SignedTransaction(raw, ALICE.entity.endorse(context, raw)))
    assert world.block(tx) == ()
    assert world.app.check_tx(tx, False).codespace == "encoding"


@pytest.mark.parametrize("gas", [101, 2**63 - 1])
def test_gas_above_the_bound_of_the_genesis_has_no_place_in_a_block(gas):
    world = priced(max_tx_gas=100)
    greedy = world.tx(ALICE.entity, Method.TRANSFER, transfer(), fee=Fee(0, gas), nonce=0)
    assert world.app.check_tx(greedy, False).code == transactions.GasLimitTooHigh.code
    assert world.block(greedy) == ()
    assert world.run(ALICE.entity, Method.TRANSFER, transfer(), fee=Fee(0, 100)).code == 0


def test_a_stranger_without_tokens_has_no_place_in_a_block():
    world = priced(min_gas_price=1, gas_tx_byte=1)
    free = world.tx(STRANGER, Method.TRANSFER, b"", nonce=0)
    assert world.app.check_tx(free, False).code == transactions.GasPriceTooLow.code
    owing = world.tx(STRANGER, Method.TRANSFER, b"", fee=Fee(500, 500), nonce=0)
    assert world.app.check_tx(owing, False).code == InsufficientBalance.code
    assert world.block(free) == world.block(owing) == ()


def test_gas_price_below_the_minimum_has_no_place_in_a_block():
    world = priced(min_gas_price=3)
    cheap = world.tx(ALICE.entity, Method.TRANSFER, transfer(), fee=Fee(29, 10))
    assert world.block(cheap) == ()
    assert world.run(ALICE.entity, Method.TRANSFER, transfer(), fee=Fee(30, 10)).code == 0


def test_gas_is_charged_by_size_and_method_and_what_is_missing_fails_the_method():
    world = priced(gas_tx_byte=1, gas_costs={"staking.Transfer": 1000})
    tx = world.tx(ALICE.entity, Method.TRANSFER, transfer(), fee=Fee(5, 1100))
    (result,) = world.block(tx)
    assert (result.code, result.gas_wanted) == (transactions.OutOfGas.code, 1100)
    assert world.account(ALICE).balance == BALANCE - 5
    tx = world.tx(ALICE.entity, Method.TRANSFER, transfer(), fee=Fee(5, 10_000))
    (result,) = world.block(tx)
    assert (result.code, result.gas_used) == (0, len(tx) + 1000)


@pytest.mark.parametrize("raw", [b"", b"\xa0", b"\xff" * 40, b"\x80", b"\x01"])
def test_garbage_is_refused(raw):
    world = World()
    assert world.app.check_tx(raw, False).code != 0
    assert world.block(raw) == ()


def test_garbage_as_body_fails_but_pays():
    world = World()
    result = world.run(ALICE.entity, Method.TRANSFER, b"\xff\x00", fee=Fee(3, 1))
    assert result.codespace == "encoding"
    assert world.account(ALICE).balance == BALANCE - 3


def test_non_canonical_encoding_of_the_envelope_is_refused():
    world = World()
    tx = world.tx(ALICE.entity, Method.TRANSFER, transfer())
    assert world.app.check_tx(tx + b"\x00", False).code != 0


def test_unknown_method_is_refused():
    world = World()
    tx = world.tx(ALICE.entity, "staking.Conjure", transfer())
    assert world.app.check_tx(tx, False).code == transactions.UnknownMethod.code


def test_size_limit_holds():
    world = priced(max_tx_bytes=300)
    small = world.tx(ALICE.entity, Method.TRANSFER, transfer())
    assert world.app.check_tx(small, False).code == 0
    large = world.tx(ALICE.entity, Method.TRANSFER, bytes(300))
    assert world.app.check_tx(large, False).code == transactions.TransactionTooLarge.code


def test_flipped_bit_of_the_signature_is_refused():
    world = World()
    signed = decode_record(SignedTransaction, world.tx(ALICE.entity, Method.TRANSFER, transfer()))
    broken = bytearray(signed.signature.signature)
    broken[3] ^= 1
    forged = replace(signed, signature=replace(signed.signature, signature=bytes(broken)))
    assert world.app.check_tx(encode_record(forged), False).codespace == "crypto"


def test_pool_counts_nonces_of_what_waits_and_forgets_them_at_commit():
    world = World()
    first, second = (world.tx(ALICE.entity, Method.TRANSFER, transfer()) for _ in range(2))
    assert world.app.check_tx(second, False).code == InvalidNonce.code
    assert world.app.check_tx(first, False).code == 0
    assert world.app.check_tx(second, False).code == 0
    world.block(first)
    assert world.app.check_tx(second, True).code == 0
    assert world.app.check_tx(first, True).code == InvalidNonce.code


def test_fees_go_to_the_entity_of_a_registered_proposer():
    proposer = COMPUTE[2]
    world = World.running()
    tx = world.tx(ALICE.entity, Method.TRANSFER, transfer(), fee=Fee(9, 1))
    address = validator_address(proposer.consensus.public_key)
    block = Block(world.height + 1, world.time_ns + 1, (tx,), address)
    txs = tuple(world.app.prepare_proposal(block, 10_000))
    world.app.finalize_block(replace(block, txs=txs))
    world.app.commit()
    world.height += 1
    assert world.account(proposer).balance == BALANCE + 9
    world.check_supply()


def test_sender_without_an_account_can_act_where_gas_is_free():
    world = World()
    nobody = COMPUTE[0].tls
    assert world.account(staking_address(nobody.public_key)).nonce == 0
    result = world.run(nobody, Method.TRANSFER, transfer())
    assert result.code == InsufficientBalance.code
    assert world.account(staking_address(nobody.public_key)).nonce == 1
