"""Bodies that anybody may send: whatever is in them, a block is made and the supply is kept."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.encoding import cbor
from shared.encoding.record import encode_record
from shared.rules import state_keys
from shared.types.commitment import PROPOSAL, ProposalHeader
from shared.types.keymanager import (
    ENCRYPTED_SECRET,
    EncryptedSecret,
    PublishedSecret,
    SignedPublishedSecret,
)
from shared.types.methods import (
    AddEscrow,
    AdvanceEpoch,
    Allow,
    Burn,
    CommitmentEquivocation,
    Evidence,
    ExecutorCommit,
    Method,
    Mine,
    MoveTime,
    ProposalEquivocation,
    ProposalStatement,
    ReclaimEscrow,
    SetMining,
    SetNextTimestamp,
    Transfer,
    UnfreezeNode,
    Withdraw,
)
from shared.types.registry import (
    REGISTER_ENTITY,
    REGISTER_NODE,
    Entity,
    SignedDescriptor,
)
from tests.support.consensus_world import (
    COMPUTE,
    CONTROL,
    KEY_MANAGER,
    MANAGERS,
    OWNER,
    PARATIME,
    World,
    make_policy,
)
from tests.support.hostile import HOSTILE, spoiled
from tests.support.short_run import examples

ALICE, BOB = COMPUTE[0], COMPUTE[1]


def world_with_everything() -> World:
    world = World()
    world.register(*COMPUTE)
    world.register(*MANAGERS)
    return world


WORLD = world_with_everything()


def honest_bodies(world: World) -> list[tuple]:
    entity = encode_record(Entity(ALICE.entity.public_key, (ALICE.id,)))
    signed = ALICE.entity.endorse(REGISTER_ENTITY.for_chain(world.chain_context), entity)
    runtime = next(one for one in world.genesis.runtimes if one.id == PARATIME)
    first, second = (world.commitment(ALICE, bytes([n]) * 32) for n in (1, 2))

    def statement(batch: bytes) -> ProposalStatement:
        header = ProposalHeader(world.last.round + 1, world.last.hash(), batch)
        context = PROPOSAL.for_runtime(world.chain_context, PARATIME, 0)
        return ProposalStatement(ALICE.id, header, ALICE.node.sign(context, encode_record(header)))

    def secret(generation) -> SignedPublishedSecret:
        ciphertexts = {world.capability(k).rek: b"c" for k in MANAGERS}
        published = PublishedSecret(
            KEY_MANAGER,
            world.epoch + 1,
            EncryptedSecret(b"c" * 32, b"p" * 32, ciphertexts),
            generation,
        )
        context = ENCRYPTED_SECRET.for_chain(world.chain_context)
        signature = MANAGERS[0].rak.sign(context, encode_record(published))
        return SignedPublishedSecret(published, signature)

    return [
        (ALICE.entity, Method.TRANSFER, Transfer(BOB.address, 1)),
        (ALICE.entity, Method.BURN, Burn(1)),
        (ALICE.entity, Method.ADD_ESCROW, AddEscrow(BOB.address, 1)),
        (ALICE.entity, Method.RECLAIM_ESCROW, ReclaimEscrow(ALICE.address, 1)),
        (ALICE.entity, Method.ALLOW, Allow(BOB.address, 1)),
        (ALICE.entity, Method.WITHDRAW, Withdraw(BOB.address, 1)),
        (ALICE.entity, Method.REGISTER_ENTITY, SignedDescriptor(entity, (signed,))),
        (ALICE.node, Method.REGISTER_NODE, world.signed(ALICE, world.descriptor(ALICE))),
        (ALICE.entity, Method.UNFREEZE_NODE, UnfreezeNode(ALICE.id)),
        (OWNER.entity, Method.REGISTER_RUNTIME, runtime),
        (OWNER.entity, Method.UPDATE_POLICY, make_policy(2)),
        (MANAGERS[0].node, Method.PUBLISH_MASTER_SECRET, secret(0)),
        (MANAGERS[0].node, Method.PUBLISH_EPHEMERAL_SECRET, secret(None)),
        (ALICE.node, Method.EXECUTOR_COMMIT, ExecutorCommit(PARATIME, (first,))),
        (BOB.node, Method.EVIDENCE, Evidence(PARATIME, CommitmentEquivocation(first, second))),
        (
            BOB.node,
            Method.EVIDENCE,
            Evidence(
                PARATIME,
                proposals=ProposalEquivocation(statement(b"1" * 32), statement(b"2" * 32)),
            ),
        ),
        (CONTROL, Method.ADVANCE_EPOCH, AdvanceEpoch()),
        (CONTROL, Method.MOVE_TIME, MoveTime(1_000)),
        (CONTROL, Method.MINE, Mine(PARATIME, 2, 1)),
        (CONTROL, Method.SET_MINING, SetMining(PARATIME, automine=False, interval_ms=0)),
        (CONTROL, Method.SET_NEXT_TIMESTAMP, SetNextTimestamp(PARATIME, 2**31)),
    ]


BODIES = honest_bodies(WORLD)


@settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    which=st.integers(0, len(BODIES) - 1),
    choice=st.integers(0, 200),
    hostile=st.sampled_from(HOSTILE),
    resign=st.booleans(),
)
def test_no_body_stops_the_chain_or_makes_tokens(which, choice, hostile, resign):
    by, method, body = BODIES[which]
    raw = spoiled(encode_record(body), choice, hostile)
    if resign and method is Method.REGISTER_NODE:
        raw = resigned_node(choice, hostile)
    before = WORLD.height
    WORLD.block(WORLD.tx(by, method, raw))
    assert WORLD.height == before + 1


def resigned_node(choice: int, hostile) -> bytes:
    """A descriptor that is spoiled first and then signed by all of its keys."""
    inner = spoiled(encode_record(WORLD.descriptor(ALICE)), choice, hostile)
    context = REGISTER_NODE.for_chain(WORLD.chain_context)
    keys = (ALICE.node, ALICE.consensus, ALICE.tls)
    signatures = tuple(key.endorse(context, inner) for key in keys)
    return encode_record(SignedDescriptor(inner, signatures))


@settings(max_examples=examples(60), deadline=None)
@given(choice=st.integers(0, 200), hostile=st.sampled_from(HOSTILE))
def test_a_spoiled_runtime_is_refused_or_leaves_a_chain_that_goes_on(choice, hostile):
    world = World()
    runtime = next(one for one in world.genesis.runtimes if one.id == PARATIME)
    raw = spoiled(encode_record(runtime), choice, hostile)
    world.block(world.tx(OWNER.entity, Method.REGISTER_RUNTIME, raw))
    world.register(*COMPUTE[:3])
    world.next_epoch()
    if world.committee is not None:
        world.block(*(world.commit(keys) for keys in world.workers()[:1]))
    world.block(seconds=40)
    for key, value in world.store.load_tree().items():
        if not key.startswith((b"\x10k", b"\x10v", b"\x20e", state_keys.CHAIN_CONTEXT)):
            cbor.decode(value)  # canonical, without tags


@pytest.mark.parametrize("raw", [b"", b"\x00", b"\xa0", b"\xff", b"\x9f", b"\xbf\xff", b"\x5b" * 9])
@pytest.mark.parametrize("method", list(Method))
def test_garbage_bodies_are_refused(method, raw):
    results = WORLD.block(WORLD.tx(BOB.entity, method, raw))
    assert results[0].code != 0
