"""What the EVM's runtime answers only where its measured configuration lets it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from eth_account import Account

from runtimes.evm import open_runtime
from shared.crypto.address import ethereum_address
from shared.crypto.hashes import EMPTY_HASH
from shared.enclave.key_client import RoundKeys
from shared.enclave.round_context import RoundContext
from shared.encoding import cbor
from shared.encoding.record import decode_record, encode_record
from shared.errors import RuntimeRejected
from shared.types.block import BlockHeader, HeaderType
from shared.types.evm import (
    ACCOUNTS,
    CODES,
    SLOTS,
    Amount,
    EvmCall,
    EvmGenesis,
    EvmGenesisAccount,
    EvmQuery,
    StateItems,
    StateQuery,
)
from shared.types.identity import Epoch, Round, RuntimeId

OWNER, OTHER = b"\x0a" * 20, b"\x0b" * 20
GAS, RICH = 1_000_000, (10**24).to_bytes(32, "big")
# Reverts for everybody but the owner: CALLER PUSH20 owner EQ PUSH1 28 JUMPI PUSH0 PUSH0 REVERT,
# JUMPDEST STOP.
FOR_OWNER = b"\x33\x73" + OWNER + b"\x14\x60\x1d\x57\x5f\x5f\xfd\x5b\x00"

PARENT = BlockHeader(
    1, RuntimeId(bytes(32)), Round(0), 1_700_000_000, HeaderType.NORMAL, *(EMPTY_HASH,) * 3
)


def context_of(header: BlockHeader) -> RoundContext:
    keys = RoundKeys({}, b"r" * 32, b"")
    return RoundContext(
        header, Epoch(1), (header.hash(), 1, 0), lambda: keys, RuntimeId(bytes(32)), "c" * 64
    )


def call_with_money(**rules: bool) -> bytes:
    """Pay the precompile that gives back what it is told."""
    call = EvmCall(OWNER, bytes(19) + b"\x04", GAS, 1, 7, b"told")
    return ask_new_chain(EvmQuery.CALL_WITH_MONEY, call, **rules)


def estimate(*, caller: bytes = OWNER, **rules: bool) -> int:
    call = EvmCall(caller, None, GAS, 1, 0, FOR_OWNER)
    answer = ask_new_chain(EvmQuery.ESTIMATE_GAS_AS_SENDER, call, **rules)
    return decode_record(Amount, answer).value


def ask_new_chain(
    method: str, call: EvmCall, *, confidential: bool, has_dev_controls: bool
) -> bytes:
    genesis = EvmGenesis(0x5AFD, ((OWNER, RICH),), confidential=confidential)
    runtime = open_runtime(
        "", encode_record(genesis), None, lambda _: bytes(32), has_dev_controls=has_dev_controls
    )
    pending = runtime.execute(context_of(PARENT), ())
    pending.persist()
    head = BlockHeader(
        1,
        RuntimeId(bytes(32)),
        Round(1),
        1_700_000_001,
        HeaderType.NORMAL,
        PARENT.hash(),
        pending.io_root,
        pending.state_root,
    )
    try:
        return runtime.query(method, encode_record(call), context_of(head))
    finally:
        runtime.close()


def test_no_enclave_plays_another_sender_unless_its_owner_rules_the_network():
    with pytest.raises(RuntimeRejected) as refused:
        estimate(confidential=True, has_dev_controls=False)
    assert (refused.value.module, refused.value.code) == ("core", 22)


@pytest.mark.parametrize(
    ("confidential", "has_dev_controls"), [(True, True), (False, False), (False, True)]
)
def test_elsewhere_an_estimate_is_that_of_its_sender(confidential, has_dev_controls):
    rules = {"confidential": confidential, "has_dev_controls": has_dev_controls}
    assert 50_000 < estimate(**rules) < 100_000
    with pytest.raises(RuntimeRejected) as reverted:
        estimate(**rules, caller=OTHER)
    assert (reverted.value.module, reverted.value.code) == ("evm", 8)


def test_nobody_has_money_unless_the_networks_owner_rules_it():
    with pytest.raises(RuntimeRejected) as refused:
        call_with_money(confidential=True, has_dev_controls=False)
    assert (refused.value.module, refused.value.code) == ("core", 22)
    with pytest.raises(RuntimeRejected) as refused:
        call_with_money(confidential=False, has_dev_controls=True)
    assert (refused.value.module, refused.value.code) == ("core", 22)
    assert call_with_money(confidential=True, has_dev_controls=True) == b"told"


@pytest.mark.parametrize(("charges_for_size", "gas_used"), [(False, 21_000), (True, None)])
def test_a_transfer_costs_what_the_genesis_says(charges_for_size, gas_used):
    sender = Account.from_key(b"\x01" * 32)
    fields = {
        "to": "0x" + "22" * 20,
        "value": 1,
        "gas": 21_000,
        "gasPrice": 10**11,
        "nonce": 0,
        "chainId": 0x5AFD,
    }
    raw = bytes(sender.sign_transaction(fields).raw_transaction)
    balances = ((bytes.fromhex(sender.address[2:]), RICH),)
    genesis = EvmGenesis(0x5AFD, balances, charges_for_size=charges_for_size)
    runtime = open_runtime("", encode_record(genesis), None, lambda _: bytes(32))
    parent = BlockHeader(
        1, RuntimeId(bytes(32)), Round(0), 1_700_000_000, HeaderType.NORMAL, *(EMPTY_HASH,) * 3
    )
    pending = runtime.execute(context_of(parent), (raw,))
    (result,) = map(cbor.decode_loosely, pending.results)
    runtime.close()
    if gas_used is None:
        assert result["error"]["message"] == "execution failed: out of gas"
    else:
        assert (result["status"], result["gas_used"]) == (1, gas_used)


@contextmanager
def with_state(*, confidential: bool) -> Iterator[Callable[[StateQuery], StateItems]]:
    """A chain with two accounts, code and slots, and what it answers."""
    contract = EvmGenesisAccount(OTHER, 7, 1, b"\x00", tuple((n, n + 1) for n in range(1_500)))
    genesis = EvmGenesis(
        0x5AFD,
        ((OWNER, RICH),),
        confidential=confidential,
        predeployed=False,
        accounts=(contract,),
    )
    runtime = open_runtime("", encode_record(genesis), None, lambda _: bytes(32))
    pending = runtime.execute(context_of(PARENT), ())
    pending.persist()
    header = replace(PARENT, round=Round(1), state_root=pending.state_root)

    def ask(query: StateQuery) -> StateItems:
        raw = runtime.query(EvmQuery.STATE, encode_record(query), context_of(header))
        return decode_record(StateItems, raw)

    yield ask
    runtime.close()


def test_the_state_of_a_public_chain_is_read_page_by_page():
    with with_state(confidential=False) as ask:
        accounts = ask(StateQuery(ACCOUNTS))
        assert {key[1:] for key, _ in accounts.items} >= {
            ethereum_address(OWNER),
            ethereum_address(OTHER),
        }
        assert accounts.is_last
        assert [value for _, value in ask(StateQuery(CODES)).items] == [b"\x00"]
        first = ask(StateQuery(SLOTS))
        assert not first.is_last
        rest = ask(StateQuery(SLOTS, first.items[-1][0] + b"\0"))
        assert rest.is_last
        keys = [key for key, _ in (*first.items, *rest.items)]
        assert keys == [SLOTS + OTHER + n.to_bytes(32, "big") for n in range(1_500)]
        for prefix in (b"", b"\x06"):
            with pytest.raises(RuntimeRejected, match="no part of the state"):
                ask(StateQuery(prefix))


def test_the_state_of_a_confidential_chain_is_shown_to_nobody():
    with with_state(confidential=True) as ask, pytest.raises(RuntimeRejected, match="confidential"):
        ask(StateQuery(SLOTS))


QUESTIONS = (EvmQuery.CALL, EvmQuery.ESTIMATE_GAS, EvmQuery.ESTIMATE_GAS_AS_SENDER)


@pytest.mark.parametrize("method", QUESTIONS)
@pytest.mark.parametrize("confidential", [True, False])
def test_only_a_public_enclave_lets_a_call_pretend(confidential, method):
    genesis = EvmGenesis(0x5AFD, ((OWNER, RICH),), confidential=confidential)
    runtime = open_runtime(
        "", encode_record(genesis), None, lambda _: bytes(32), has_dev_controls=True
    )
    start = BlockHeader(
        1, RuntimeId(bytes(32)), Round(0), 1_700_000_000, HeaderType.NORMAL, *(EMPTY_HASH,) * 3
    )
    # SLOAD of slot 0 in the place of whatever the contract has.
    code = b'{"state":{"0x%b":{"code":"0x5f545f5260205ff3"}}}' % (b"0b" * 20)
    call = EvmCall(OWNER, OTHER, GAS, 1, 0, b"", pretence=code)
    try:
        if confidential:
            with pytest.raises(RuntimeRejected) as refused:
                runtime.query(method, encode_record(call), context_of(start))
            assert (refused.value.module, refused.value.code) == ("trace", 1)
        elif method == EvmQuery.CALL:
            assert runtime.query(method, encode_record(call), context_of(start)) == bytes(32)
        else:
            answer = runtime.query(method, encode_record(call), context_of(start))
            assert 21_000 < decode_record(Amount, answer).value < 50_000
    finally:
        runtime.close()
