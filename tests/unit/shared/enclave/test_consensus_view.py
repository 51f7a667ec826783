"""What an enclave reads of consensus for a round: one state for all, whatever its host shows."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from shared.crypto.address import runtime_address, staking_address
from shared.enclave.consensus_view import MAX_REMEMBERED, ConsensusReader, ConsensusView
from shared.enclave.errors import ConsensusUnproven
from shared.encoding.record import decode_record
from shared.errors import PeerUnavailable
from shared.rules import state_keys
from shared.rules.incarnations import FIRST_LIFE, read_incarnation
from shared.rules.light_client import LightClient
from shared.types.incarnation import IncarnationState
from shared.types.proof import ProvenState, Validator
from shared.types.staking import Account
from tests.support.chains import CHAIN_ID, POWER, SIGNER
from tests.support.keymanager import PARATIME_ID
from tests.support.paratime_chain import WORKERS, ParatimeChain, chain_genesis
from tests.support.world_genesis import identity_of

ENTITY = staking_address(identity_of(WORKERS[0]).entity.public_key)
Fetch = Callable[[bytes, int, tuple[bytes, ...]], ProvenState]


@pytest.fixture
def chain() -> ParatimeChain:
    made = ParatimeChain(chain_genesis(()))
    for number in range(3):
        made.finalize(bytes([number]) * 32, b"\xaa" * 32)
    return made


def honest(chain: ParatimeChain) -> Fetch:
    return lambda _, round_, keys: chain.prove_at(chain.height_of(round_), keys)


def life_of(chain: ParatimeChain) -> IncarnationState:
    return read_incarnation(dict(chain.prove((state_keys.INCARNATION,)).items))


def view(
    chain: ParatimeChain,
    fetch: Fetch | None = None,
    *,
    round_: int | None = None,
    life: IncarnationState | None = None,
) -> ConsensusView:
    validators = [Validator(SIGNER.public_key, POWER)]
    reader = ConsensusReader(
        PARATIME_ID,
        lambda: LightClient(CHAIN_ID, validators, follows_rewinds=True),
        fetch or honest(chain),
    )
    return reader.after(
        chain.head.round if round_ is None else round_, life_of(chain) if life is None else life
    )


def test_it_is_the_state_after_the_round_whatever_came_since(chain: ParatimeChain) -> None:
    before, newest = chain.head, chain.head.round
    seen = view(chain)
    chain.make_block()
    chain.finalize(b"\x0f" * 32, b"\xab" * 32)
    assert seen.round_roots(PARATIME_ID, newest) == (before.state_root, before.io_root)
    assert seen.round_roots(PARATIME_ID, newest - 1) == (b"\x01" * 32, b"\xaa" * 32)
    assert seen.round_roots(PARATIME_ID, newest + 1) is None, "it is of the next round"
    assert view(chain).round_roots(PARATIME_ID, newest + 1) == (b"\x0f" * 32, b"\xab" * 32)


def test_what_consensus_does_not_know_is_nothing(chain: ParatimeChain) -> None:
    seen = view(chain)
    assert seen.round_roots(b"\x80" + bytes(31), 1) is None
    assert seen.round_roots(PARATIME_ID, 2**64 - 1) is None
    assert seen.escrow(b"\0" * 21) == ((0, 0), (0, 0))


def test_stake_is_that_of_the_ledger(chain: ParatimeChain) -> None:
    (item,) = chain.prove((state_keys.account_key(ENTITY),)).items
    account = decode_record(Account, item[1] or b"")
    active = account.active.balance, account.active.total_shares
    assert active > (0, 0)
    assert view(chain).escrow(ENTITY) == (active, (0, 0))
    backing = view(chain).escrow(runtime_address(PARATIME_ID))
    assert backing == ((0, 0), (0, 0)), "its tokens are no stake"


def test_a_later_state_is_refused_though_the_round_is_still_the_newest(
    chain: ParatimeChain,
) -> None:
    chain.make_block()
    late = view(chain, lambda _, __, keys: chain.prove(keys))
    with pytest.raises(ConsensusUnproven, match="at another height"):
        late.escrow(ENTITY)


def test_a_state_of_another_round_is_refused(chain: ParatimeChain) -> None:
    other = view(chain, lambda _, round_, keys: honest(chain)(_, round_ - 1, keys))
    with pytest.raises(ConsensusUnproven, match="at another height"):
        other.escrow(ENTITY)


def test_a_proof_must_be_whole_and_true(chain: ParatimeChain) -> None:
    def without(count: int) -> Fetch:
        return lambda _, round_, keys: honest(chain)(_, round_, keys[:count])

    def false(_: bytes, round_: int, keys: tuple[bytes, ...]) -> ProvenState:
        proven = honest(chain)(_, round_, keys)
        items = tuple((k, v and v[:-1] + bytes([v[-1] ^ 1])) for k, v in proven.items)
        return replace(proven, items=items)

    for fetch in (without(2), without(0), false):
        with pytest.raises(ConsensusUnproven):
            view(chain, fetch).escrow(ENTITY)


def test_a_host_that_does_not_answer_is_told_as_it_is(chain: ParatimeChain) -> None:
    def silent(*_: object) -> ProvenState:
        raise PeerUnavailable("consensus does not answer")

    with pytest.raises(PeerUnavailable):
        view(chain, silent).escrow(ENTITY)


def test_a_void_life_is_refused_and_what_both_lives_have_is_not(chain: ParatimeChain) -> None:
    shared, height = chain.head.round, chain.height
    chain.finalize(b"\x0d" * 32, b"\xaa" * 32)
    void = chain.head.round
    own = state_keys.past_roots_key(PARATIME_ID, void)
    recorded = honest(chain)(
        PARATIME_ID, void, (own, state_keys.INCARNATION, state_keys.account_key(ENTITY))
    )
    chain.rewind(height)
    assert life_of(chain).incarnation == 1
    # The round before the rewind became final in the life before, and stands.
    assert view(chain, round_=shared).escrow(ENTITY)[0] > (0, 0)
    assert life_of(chain).starts[0].height == height
    old = view(chain, lambda *_: recorded, round_=void)
    with pytest.raises(ConsensusUnproven, match="void"):
        old.escrow(ENTITY)
    # Who has not entered the new life yet waits with it.
    chain.finalize(b"\x0e" * 32, b"\xaa" * 32)
    early = view(chain, life=FIRST_LIFE)
    with pytest.raises(ConsensusUnproven, match="later life"):
        early.escrow(ENTITY)


def test_a_host_that_lied_once_is_heard_again(chain: ParatimeChain) -> None:
    chain.make_block()
    lies = [True, False, True, False]

    def wavering(_: bytes, round_: int, keys: tuple[bytes, ...]) -> ProvenState:
        return chain.prove(keys) if lies.pop(0) else honest(chain)(_, round_, keys)

    seen = view(chain, wavering)
    for ask in (lambda: seen.escrow(ENTITY), lambda: seen.round_roots(PARATIME_ID, 1)):
        with pytest.raises(ConsensusUnproven):
            ask()
        assert ask() == ask()
    assert lies == []


def test_each_value_is_asked_for_once(chain: ParatimeChain) -> None:
    asked: list[tuple[bytes, ...]] = []

    def counting(_: bytes, round_: int, keys: tuple[bytes, ...]) -> ProvenState:
        asked.append(keys)
        return honest(chain)(_, round_, keys)

    seen = view(chain, counting)
    for _ in range(3):
        seen.escrow(ENTITY)
        seen.round_roots(PARATIME_ID, 1)
    assert len(asked) == 2
    assert MAX_REMEMBERED > 2
