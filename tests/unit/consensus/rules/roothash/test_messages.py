"""What a round asks of consensus is done once it is final, and told to the next round."""

from dataclasses import replace

import pytest

from services.consensus.rules.roothash import commitments
from services.consensus.rules.roothash.messages import load_inbox
from shared.crypto.address import runtime_address, staking_address
from shared.crypto.hashes import EMPTY_HASH
from shared.encoding.record import encode_record
from shared.rules import state_keys
from shared.types.block import HeaderType
from shared.types.commitment import CommitmentFailure
from shared.types.genesis import GenesisAccount
from shared.types.messages import (
    AddEscrowMessage,
    Inbox,
    MalformedMessages,
    MessageResult,
    Payout,
    ReclaimEscrowMessage,
    RoundMessage,
    TransferMessage,
    WithdrawMessage,
    hash_inbox,
    hash_messages,
    read_messages,
)
from shared.types.methods import Allow, Method
from shared.types.registry import ExecutorParameters
from shared.types.staking import Delegation
from tests.support.consensus_world import OWNER, PARATIME, World, make_genesis

OWN = runtime_address(PARATIME)
ALICE = staking_address(b"a" * 32)
VALIDATOR = staking_address(b"v" * 32)


def message(**asked) -> bytes:
    return encode_record(RoundMessage(**asked))


TRANSFER = message(transfer=TransferMessage(ALICE, 400))


@pytest.fixture
def world() -> World:
    genesis = make_genesis(executor=ExecutorParameters(max_messages=3))
    funded = GenesisAccount(OWN, 1_000)
    return World.running(replace(genesis, accounts=(*genesis.accounts, funded)))


def votes(world: World, *messages: bytes, **options) -> list[bytes]:
    """Votes of all workers for a round with these messages."""
    told = {"messages_hash": hash_messages(messages)} | options
    return [
        world.commit(
            keys,
            messages=messages or None if keys == world.scheduler() else None,
            **told,
        )
        for keys in world.workers()
    ]


def agree(world: World, *messages: bytes) -> None:
    results = world.block(*votes(world, *messages))
    assert all(result.code == 0 for result in results), [r.log for r in results]


def test_messages_are_done_when_their_round_is_final_and_not_before(world):
    first, *others = votes(world, TRANSFER)
    assert all(result.code == 0 for result in world.block(first))
    assert world.account(ALICE).balance == 0
    world.block(*others)
    assert world.account(ALICE).balance == 400
    assert world.account(OWN).balance == 600
    inbox = Inbox((MessageResult(),))
    assert load_inbox(world.state, PARATIME) == inbox
    assert world.last.messages_hash == hash_messages((TRANSFER,))
    assert world.last.in_msgs_hash == hash_inbox(inbox)


def test_what_is_refused_changes_nothing_and_says_why(world):
    agree(
        world,
        message(transfer=TransferMessage(ALICE, 1_001)),
        message(withdraw=WithdrawMessage(OWNER.address, 5)),
        message(reclaim_escrow=ReclaimEscrowMessage(VALIDATOR, 1)),
    )
    assert load_inbox(world.state, PARATIME).results == (
        MessageResult("staking", 1),
        MessageResult("staking", 4),
        MessageResult("staking", 5),
    )
    assert world.account(OWN).balance == 1_000


def test_allowed_tokens_are_pulled_in(world):
    world.must(OWNER.entity, Method.ALLOW, Allow(OWN, 70))
    before = world.account(OWNER).balance
    agree(world, message(withdraw=WithdrawMessage(OWNER.address, 50)))
    assert world.account(OWN).balance == 1_050
    assert world.account(OWNER).balance == before - 50
    assert world.account(OWNER).allowances[OWN] == 20


def test_stake_goes_out_and_comes_back_after_its_epoch(world):
    agree(world, message(add_escrow=AddEscrowMessage(VALIDATOR, 300)))
    assert load_inbox(world.state, PARATIME).results == (MessageResult(shares=300),)
    assert world.load(Delegation, state_keys.delegation_key(VALIDATOR, OWN)).shares == 300
    agree(world, message(reclaim_escrow=ReclaimEscrowMessage(VALIDATOR, 100)))
    end = world.epoch + 1
    assert load_inbox(world.state, PARATIME).results == (MessageResult(shares=100, epoch=end),)
    agree(world)
    assert world.last.in_msgs_hash == EMPTY_HASH
    world.next_epoch()
    inbox = Inbox(payouts=(Payout(end, VALIDATOR, 100),))
    assert world.last.header_type is HeaderType.EPOCH_TRANSITION
    assert load_inbox(world.state, PARATIME) == inbox
    assert world.last.in_msgs_hash == hash_inbox(inbox)
    assert world.account(OWN).balance == 800


def test_an_inbox_waits_for_a_round_that_hears_it(world):
    agree(world, TRANSFER)
    inbox = Inbox((MessageResult(),))
    world.next_epoch()
    assert world.last.header_type is HeaderType.EPOCH_TRANSITION
    assert world.last.in_msgs_hash == hash_inbox(inbox)
    agree(world)
    assert world.last.in_msgs_hash == EMPTY_HASH
    assert world.load(Inbox, state_keys.inbox_key(PARATIME)) is None


def test_what_comes_back_joins_what_waits(world):
    agree(world, message(add_escrow=AddEscrowMessage(VALIDATOR, 300)))
    agree(world, message(reclaim_escrow=ReclaimEscrowMessage(VALIDATOR, 300)))
    end = world.epoch + 1
    world.next_epoch()
    inbox = load_inbox(world.state, PARATIME)
    assert inbox == Inbox((MessageResult(shares=300, epoch=end),), (Payout(end, VALIDATOR, 300),))
    assert world.last.in_msgs_hash == hash_inbox(inbox)


def test_a_round_without_messages_costs_consensus_nothing(world):
    agree(world)
    assert world.last.messages_hash == world.last.in_msgs_hash == EMPTY_HASH
    assert world.load(Inbox, state_keys.inbox_key(PARATIME)) is None


@pytest.mark.parametrize(
    ("told", "hashed"),
    [
        ((), (TRANSFER,)),
        ((TRANSFER,), ()),
        ((TRANSFER, TRANSFER), (TRANSFER,)),
        ((b"junk",), (b"junk",)),
        ((message(),), (message(),)),
        ((TRANSFER,) * 4,) * 2,
    ],
    ids=["withheld", "unasked", "others", "junk", "empty", "many"],
)
def test_other_messages_than_the_results_name_are_refused(world, told, hashed):
    raw = world.commit(
        world.scheduler(), messages_hash=hash_messages(hashed), messages=told or None
    )
    (result,) = world.block(raw)
    error = commitments.WrongMessages
    assert (result.codespace, result.code) == (error.module, error.code), result.log


def test_only_the_scheduler_tells_messages(world):
    other = next(keys for keys in world.workers() if keys != world.scheduler())
    asked = hash_messages((TRANSFER,))
    for raw in (
        world.commit(other, messages_hash=asked, messages=(TRANSFER,)),
        world.commit(other, failure=CommitmentFailure.STATE_UNAVAILABLE, messages=(TRANSFER,)),
    ):
        (result,) = world.block(raw)
        assert (result.codespace, result.code) == ("roothash", 10), result.log


def test_a_long_message_is_none(world):
    long = TRANSFER + bytes(300)
    with pytest.raises(MalformedMessages):
        read_messages((long,), hash_messages((long,)))
    raw = world.commit(world.scheduler(), messages_hash=hash_messages((long,)), messages=(long,))
    (result,) = world.block(raw)
    assert result.codespace == "encoding"


def test_a_message_asks_for_one_thing():
    both = message(transfer=TransferMessage(ALICE, 1), withdraw=WithdrawMessage(ALICE, 1))
    with pytest.raises(MalformedMessages):
        read_messages((both,), hash_messages((both,)))
