"""The light client believes what the pinned validators signed, and nothing else."""

import dataclasses

import pytest

from shared.crypto.hashes import sha256
from shared.crypto.merkle import merkle_proof
from shared.crypto.signing import Signer
from shared.crypto.state_tree import StateTree
from shared.encoding.protobuf import NumberOutOfRange
from shared.errors import Rejected
from shared.rules import headers, light_client, state_keys
from shared.rules.light_client import LightClient
from shared.rules.meta import decode_meta, encode_meta
from shared.types.proof import (
    BlockId,
    Commit,
    CommitSignature,
    Header,
    LightBlock,
    MetaProof,
    ProvenState,
    Validator,
)

CHAIN_ID = "qanat-test"
SECOND = 1_000_000_000
SIGNERS = [Signer(bytes([number]) * 32) for number in range(1, 8)]


def set_of(*signers: Signer) -> tuple[Validator, ...]:
    return headers.in_order(Validator(signer.public_key, 10) for signer in signers)


def proven(
    height: int,
    signers: list[Signer],
    *,
    named: tuple[Validator, ...] | None = None,
    following: tuple[Validator, ...] | None = None,
    state: dict[bytes, bytes] | None = None,
    keys: tuple[bytes, ...] = (b"key",),
    chain_id: str = CHAIN_ID,
    time_ns: int | None = None,
    first: bytes = b"first",
    incarnation: int = 0,
) -> ProvenState:
    """State proven by a block that `signers` signed, and whose header names the set `named`."""
    named = set_of(*signers) if named is None else named
    tree = StateTree.empty().with_changes(state or {b"key": b"value"})
    transactions = [first, b"second", encode_meta(tree.root, incarnation)]
    header = Header(
        version_block=headers.BLOCK_VERSION,
        version_app=1,
        chain_id=chain_id,
        height=height,
        time_ns=height * SECOND if time_ns is None else time_ns,
        last_block_id=BlockId(b""),
        last_commit_hash=headers.commit_hash(()),
        data_hash=headers.data_hash(transactions),
        validators_hash=headers.validators_hash(named),
        next_validators_hash=headers.validators_hash(following or named),
        consensus_hash=bytes(32),
        app_hash=bytes(32),
        last_results_hash=bytes(32),
        evidence_hash=bytes(32),
        proposer_address=headers.validator_address(signers[0].public_key),
    )
    name = headers.block_id(header, transactions, [], None)
    unsigned = Commit(height, 0, name, ())
    votes = tuple(
        CommitSignature(
            headers.validator_address(signer.public_key),
            header.time_ns + index,
            signer.sign_raw(
                headers.precommit_sign_bytes(chain_id, unsigned, header.time_ns + index)
            ),
        )
        for index, signer in enumerate(signers)
    )
    hashes = [sha256(transaction) for transaction in transactions]
    return ProvenState(
        LightBlock(header, dataclasses.replace(unsigned, signatures=votes), named),
        MetaProof(transactions[-1], 3, merkle_proof(hashes, 2)),
        tuple((key, tree.get(key)) for key in keys),
        tree.prove(keys),
    )


def with_header(state: ProvenState, **changes) -> ProvenState:
    block = state.light_block
    header = dataclasses.replace(block.header, **changes)
    return dataclasses.replace(state, light_block=dataclasses.replace(block, header=header))


def with_commit(state: ProvenState, **changes) -> ProvenState:
    block = state.light_block
    commit = dataclasses.replace(block.commit, **changes)
    return dataclasses.replace(state, light_block=dataclasses.replace(block, commit=commit))


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
