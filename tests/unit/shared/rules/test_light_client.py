"""The light client believes what the pinned validators signed, and nothing else."""

import dataclasses

import pytest

from shared.crypto.hashes import sha256
from shared.crypto.merkle import merkle_proof
from shared.encoding.protobuf import NumberOutOfRange
from shared.errors import Rejected
from shared.rules import light_client, state_keys
from shared.rules.light_client import LightClient
from shared.rules.meta import decode_meta, encode_meta
from shared.types.proof import MetaProof, ProvenState, Validator
from tests.support.proven_states import (
    CHAIN_ID,
    SECOND,
    SIGNERS,
    proven,
    set_of,
    with_commit,
    with_header,
)


@pytest.fixture
def client():
    return LightClient(CHAIN_ID, set_of(SIGNERS[0]))


def refused(client: LightClient, state: ProvenState, error: type[Rejected]) -> None:
    before = client.height, client.time_ns
    with pytest.raises(error):
        client.verify(state)
    assert (client.height, client.time_ns) == before


def test_proven_values_are_given_with_height_and_time(client):
    state = proven(5, SIGNERS[:1], keys=(b"key", b"absent"))
    verified = client.verify(state)
    assert (verified.height, verified.time_ns) == (5, 5 * SECOND)
    assert verified.values == {b"key": b"value", b"absent": None}
    assert (client.height, client.time_ns) == (5, 5 * SECOND)


def test_other_keys_of_the_same_block_can_be_verified_later(client):
    client.verify(proven(5, SIGNERS[:1]))
    assert client.verify(proven(5, SIGNERS[:1], keys=(b"other",))).values == {b"other": None}


def test_heights_never_fall(client):
    client.verify(proven(5, SIGNERS[:1]))
    refused(client, proven(4, SIGNERS[:1]), light_client.OldHeight)


def test_another_header_of_the_trusted_height_is_refused_although_it_is_signed(client):
    client.verify(proven(5, SIGNERS[:1]))
    other = proven(5, SIGNERS[:1], state={b"key": b"forked"})
    refused(client, other, light_client.ConflictingHeader)


def test_another_chain_is_refused(client):
    refused(client, proven(5, SIGNERS[:1], chain_id="other"), light_client.OtherChain)


def test_time_rises_with_height(client):
    client.verify(proven(5, SIGNERS[:1]))
    refused(client, proven(6, SIGNERS[:1], time_ns=5 * SECOND), light_client.TimeNotRising)


def test_a_changed_header_no_longer_fits_its_commit(client):
    changed = with_header(proven(5, SIGNERS[:1]), data_hash=bytes(32))
    refused(client, changed, light_client.WrongCommit)


def test_a_number_beyond_64_bits_does_not_pass_for_a_small_one(client):
    state = proven(5, SIGNERS[:1])
    far = with_header(state, time_ns=state.light_block.header.time_ns + 2**64 * SECOND)
    refused(client, far, NumberOutOfRange)
    # These have a place in a proof, and none in what is hashed and signed.
    refused(client, with_header(state, version_app=2**63), NumberOutOfRange)
    refused(client, with_commit(state, round=2**64 - 1), NumberOutOfRange)


def test_a_power_beyond_64_bits_can_not_be_pinned():
    with pytest.raises(NumberOutOfRange):
        LightClient(CHAIN_ID, [Validator(SIGNERS[0].public_key, 2**63)])


def test_a_commit_of_another_height_is_refused(client):
    refused(client, with_commit(proven(5, SIGNERS[:1]), height=6), light_client.WrongCommit)


def test_a_block_without_signatures_is_refused(client):
    state = with_commit(proven(5, SIGNERS[:1]), signatures=())
    refused(client, state, light_client.TooLittlePower)


@pytest.mark.parametrize("field", ["signature", "time_ns", "validator_address"])
def test_a_changed_vote_is_refused(client, field):
    state = proven(5, SIGNERS[:1])
    (vote,) = state.light_block.commit.signatures
    value = {"signature": bytes(64), "time_ns": vote.time_ns + 1, "validator_address": bytes(20)}
    forged = dataclasses.replace(vote, **{field: value[field]})
    refused(client, with_commit(state, signatures=(forged,)), light_client.BadCommitSignature)


def test_a_vote_that_is_there_twice_does_not_count_twice():
    client = LightClient(CHAIN_ID, set_of(*SIGNERS[:3]))
    state = proven(5, SIGNERS[:2], named=set_of(*SIGNERS[:3]))
    first, second = state.light_block.commit.signatures
    doubled = with_commit(state, signatures=(first, second, first))
    refused(client, doubled, light_client.BadCommitSignature)


def test_two_thirds_exactly_are_too_little():
    client = LightClient(CHAIN_ID, set_of(*SIGNERS[:3]))
    state = proven(5, SIGNERS[:2], named=set_of(*SIGNERS[:3]))
    refused(client, state, light_client.TooLittlePower)


def test_three_of_four_suffice():
    client = LightClient(CHAIN_ID, set_of(*SIGNERS[:4]))
    client.verify(proven(5, SIGNERS[:3], named=set_of(*SIGNERS[:4])))
    assert client.height == 5


def test_validators_that_nobody_pinned_are_refused(client):
    refused(client, proven(1, SIGNERS[1:2]), light_client.WrongValidators)
    refused(client, proven(5, SIGNERS[1:2]), light_client.TooLittlePower)


def test_validators_beside_those_of_the_header_are_refused(client):
    state = proven(5, SIGNERS[:1])
    block = dataclasses.replace(state.light_block, validators=set_of(*SIGNERS[:2]))
    refused(client, dataclasses.replace(state, light_block=block), light_client.WrongValidators)


def test_an_announced_set_takes_over_at_the_next_height(client):
    client.verify(proven(1, SIGNERS[:1], following=set_of(SIGNERS[1])))
    refused(client, proven(2, SIGNERS[:1]), light_client.WrongValidators)
    client.verify(proven(2, SIGNERS[1:2]))
    assert client.height == 2


def test_skipping_needs_over_a_third_of_the_trusted_power():
    client = LightClient(CHAIN_ID, set_of(*SIGNERS[:3]))
    one_old = [SIGNERS[0], *SIGNERS[3:6]]
    refused(client, proven(7, one_old), light_client.TooLittlePower)
    two_old = [SIGNERS[0], SIGNERS[1], *SIGNERS[3:6]]
    client.verify(proven(7, two_old))
    assert client.height == 7


def test_a_root_that_is_not_in_the_block_is_refused(client):
    state = proven(5, SIGNERS[:1])
    meta = dataclasses.replace(state.meta, transaction=encode_meta(bytes(32)))
    refused(client, dataclasses.replace(state, meta=meta), light_client.WrongStateRoot)


@pytest.mark.parametrize(("total", "aunts"), [(1, 0), (2, 1), (2, 2), (3, 2), (4, 2)])
def test_a_root_in_another_place_than_the_last_is_refused(client, total, aunts):
    # A transaction of the pool could look like one that carries a root.
    forged = encode_meta(bytes(32))
    state = proven(5, SIGNERS[:1], first=forged)
    hashes = [sha256(item) for item in (forged, b"second", state.meta.transaction)]
    meta = MetaProof(forged, total, merkle_proof(hashes, 0)[:aunts])
    refused(client, dataclasses.replace(state, meta=meta), light_client.WrongStateRoot)


def test_values_that_the_root_does_not_hold_are_refused(client):
    state = proven(5, SIGNERS[:1])
    for items in [((b"key", b"other"),), ((b"key", None),), ((b"absent", b"value"),)]:
        changed = dataclasses.replace(state, items=items)
        refused(client, changed, light_client.WrongStateValues)


# -- lives of the chain --------------------------------------------------------------------------

LIFE = (state_keys.INCARNATION,)


def test_a_later_life_leads_to_a_lower_height_where_rewinds_are_followed():
    client = LightClient(CHAIN_ID, set_of(SIGNERS[0]), follows_rewinds=True)
    client.verify(proven(9, SIGNERS[:1]))
    verified = client.verify(proven(5, SIGNERS[:1], incarnation=1, keys=LIFE))
    assert (verified.height, verified.incarnation) == (5, 1)
    refused(client, proven(4, SIGNERS[:1], incarnation=1, keys=LIFE), light_client.OldHeight)
    assert client.verify(proven(6, SIGNERS[:1], incarnation=1)).height == 6


def test_no_life_but_the_first_is_followed_where_the_chain_cannot_be_rewound(client):
    late = proven(5, SIGNERS[:1], incarnation=1, keys=LIFE)
    refused(client, late, light_client.RewindForbidden)
    client.verify(proven(9, SIGNERS[:1]))
    refused(client, late, light_client.RewindForbidden)
    higher = proven(10, SIGNERS[:1], incarnation=1, keys=LIFE)
    refused(client, higher, light_client.RewindForbidden)


def test_a_void_life_is_refused_at_any_height():
    client = LightClient(CHAIN_ID, set_of(SIGNERS[0]), follows_rewinds=True)
    client.verify(proven(5, SIGNERS[:1], incarnation=2, keys=LIFE))
    for height in (4, 5, 6, 1000):
        for incarnation in (0, 1):
            void = proven(height, SIGNERS[:1], incarnation=incarnation, keys=LIFE)
            refused(client, void, light_client.OldIncarnation)


def test_a_later_life_must_be_proven_with_what_it_voids():
    client = LightClient(CHAIN_ID, set_of(SIGNERS[0]), follows_rewinds=True)
    refused(client, proven(5, SIGNERS[:1], incarnation=1), light_client.UnprovenRewind)


def test_a_later_life_counts_only_under_the_signatures_of_the_pinned_validators():
    client = LightClient(CHAIN_ID, set_of(SIGNERS[0]), follows_rewinds=True)
    client.verify(proven(5, SIGNERS[:1], following=set_of(SIGNERS[1])))
    client.verify(proven(6, SIGNERS[1:2]))
    # The set of SIGNERS[1] came about in a life that is void, for all that the host shows.
    foreign = proven(3, SIGNERS[1:2], incarnation=1, keys=LIFE)
    refused(client, foreign, light_client.TooLittlePower)
    assert client.verify(proven(3, SIGNERS[:1], incarnation=1, keys=LIFE)).incarnation == 1


def test_the_incarnation_is_part_of_what_is_signed():
    client = LightClient(CHAIN_ID, set_of(SIGNERS[0]), follows_rewinds=True)
    state = proven(5, SIGNERS[:1], keys=LIFE)
    root = decode_meta(state.meta.transaction).state_root
    meta = dataclasses.replace(state.meta, transaction=encode_meta(root, 1))
    refused(client, dataclasses.replace(state, meta=meta), light_client.WrongStateRoot)
