"""Entities, nodes and runtimes: who may register what, and who is eligible."""

from dataclasses import replace

import pytest

from services.consensus.abci import Misbehavior, MisbehaviorKind
from services.consensus.rules.context import BlockContext
from services.consensus.rules.epoch_change import advance_epoch
from services.consensus.rules.genesis import InvalidGenesis
from services.consensus.rules.registry import entities, nodes, runtimes
from services.consensus.rules.staking import escrow
from shared.encoding.record import encode_record
from shared.rules import state_keys
from shared.rules.headers import validator_address
from shared.types.attestation import EnclaveIdentity, TeeConstraints
from shared.types.block import BlockHeader
from shared.types.genesis import (
    BeaconParameters,
    GenesisAccount,
    RegistryParameters,
    StakingParameters,
)
from shared.types.methods import Method, UnfreezeNode
from shared.types.registry import (
    REGISTER_ENTITY,
    Committee,
    Deployment,
    Entity,
    ExecutorParameters,
    NodeDescriptor,
    Role,
    RuntimeDescriptor,
    RuntimeKind,
    SignedDescriptor,
    Version,
)
from tests.support.consensus_world import (
    COMPUTE,
    ENCLAVE,
    KEY_MANAGER,
    OWNER,
    PARATIME,
    VERSION,
    BadQuote,
    World,
    keys_of,
    make_genesis,
    signer,
)

NODE = COMPUTE[0]
NEW_RUNTIME = b"\x80" + bytes(30) + b"\x09"


def refused(result, error) -> None:
    assert (result.codespace, result.code) == (error.module, error.code), result.log


def register(world: World, keys=NODE, *, descriptor=None, **changes):
    body = world.signed(keys, descriptor or world.descriptor(keys, **changes))
    return world.run(keys.node, Method.REGISTER_NODE, body)


def registered(world: World, keys=NODE) -> NodeDescriptor | None:
    return world.load(NodeDescriptor, state_keys.node_key(keys.id))


# -- entities ------------------------------------------------------------------------------------


def entity_body(world: World, keys, listed, *, by=None, chain=None) -> SignedDescriptor:
    raw = encode_record(Entity(keys.entity.public_key, listed))
    context = REGISTER_ENTITY.for_chain(chain or world.chain_context)
    return SignedDescriptor(raw, tuple(one.endorse(context, raw) for one in by or [keys.entity]))


def test_an_entity_changes_its_nodes_and_a_node_needs_to_be_listed():
    world = World()
    other = keys_of("newcomer")
    body = entity_body(world, NODE, (other.id,))
    world.must(NODE.entity, Method.REGISTER_ENTITY, body)
    refused(register(world), nodes.NotListed)


def test_an_entity_is_signed_and_sent_by_its_own_key_for_this_chain():
    world = World()
    body = entity_body(world, NODE, ())
    refused(world.run(OWNER.entity, Method.REGISTER_ENTITY, body), entities.WrongSigners)
    forged = entity_body(world, NODE, (), by=[OWNER.entity])
    refused(world.run(NODE.entity, Method.REGISTER_ENTITY, forged), entities.WrongSigners)
    foreign = entity_body(world, NODE, (), chain="ab" * 32)
    assert world.run(NODE.entity, Method.REGISTER_ENTITY, foreign).codespace == "crypto"


def test_an_entity_without_stake_is_refused():
    world = World()
    poor = keys_of("poor")
    body = entity_body(world, poor, ())
    refused(world.run(poor.entity, Method.REGISTER_ENTITY, body), escrow.InsufficientStake)


def test_an_entity_lists_a_node_once():
    world = World()
    body = entity_body(world, NODE, (NODE.id, NODE.id))
    refused(world.run(NODE.entity, Method.REGISTER_ENTITY, body), entities.MalformedEntity)


# -- nodes ---------------------------------------------------------------------------------------


def test_registration_is_kept_and_told():
    world = World()
    world.register(NODE)
    assert registered(world) is not None
    assert world.events.registered == (NODE.id,)
    owner = world.load(
        bytes, state_keys.validator_owner_key(validator_address(NODE.consensus.public_key))
    )
    assert owner == NODE.id
    assert world.account(NODE).claims.keys() == {
        "registry.RegisterEntity",
        f"registry.RegisterNode.{NODE.id.hex()}",
    }


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_each_of_the_three_keys_must_sign(missing):
    world = World()
    body = world.signed(NODE, world.descriptor(NODE))
    kept = tuple(s for index, s in enumerate(body.signatures) if index != missing)
    result = world.run(NODE.node, Method.REGISTER_NODE, replace(body, signatures=kept))
    refused(result, entities.WrongSigners)


def test_no_further_key_may_sign():
    world = World()
    body = world.signed(NODE, world.descriptor(NODE))
    for extra in (body.signatures[0], OWNER.node.endorse(b"x", body.untrusted_raw_value)):
        more = replace(body, signatures=(*body.signatures, extra))
        refused(world.run(NODE.node, Method.REGISTER_NODE, more), entities.WrongSigners)


def test_a_descriptor_for_another_chain_is_refused():
    world = World()
    body = world.signed(NODE, world.descriptor(NODE), chain="ab" * 32)
    assert world.run(NODE.node, Method.REGISTER_NODE, body).codespace == "crypto"


def test_a_node_registers_itself():
    world = World()
    body = world.signed(NODE, world.descriptor(NODE))
    refused(world.run(OWNER.node, Method.REGISTER_NODE, body), entities.WrongSigners)


@pytest.mark.parametrize("shift", [-1, 3, 2**60])
def test_expiration_lies_between_now_and_the_limit(shift):
    world = World()
    refused(register(world, expiration=world.epoch + shift), nodes.BadExpiration)
    assert registered(world) is None


def test_keys_are_unique_across_nodes_and_uses():
    world = World()
    world.register(NODE)
    thief = replace(COMPUTE[1], tls=NODE.tls)
    refused(register(world, thief), nodes.KeyInUse)
    refused(register(world, replace(COMPUTE[1], tls=NODE.node)), nodes.KeyInUse)
    refused(register(world, replace(COMPUTE[1], tls=COMPUTE[1].consensus)), nodes.KeyInUse)


def test_a_tls_key_that_is_given_up_is_free_again():
    world = World()
    world.register(NODE)
    world.register(replace(NODE, tls=signer("a new tls key")))
    assert register(world, replace(COMPUTE[1], tls=NODE.tls)).code == 0


def test_entity_and_consensus_key_stay():
    world = World()
    world.register(NODE)
    refused(register(world, replace(NODE, consensus=signer("another"))), nodes.ForbiddenUpdate)


@pytest.mark.parametrize(
    "roles", [0, 16, 2**64 - 1, int(Role.KEY_MANAGER), int(Role.COMPUTE | Role.KEY_MANAGER)]
)
def test_roles_are_known_and_fit_the_runtimes(roles):
    world = World()
    refused(register(world, roles=roles), nodes.BadRoles)


def test_a_validator_needs_no_runtime_and_a_worker_does():
    world = World()
    refused(register(world, runtimes=()), nodes.BadRoles)
    assert register(world, runtimes=(), roles=int(Role.VALIDATOR)).code == 0


def test_a_runtime_is_served_once():
    world = World()
    (served,) = world.descriptor(NODE).runtimes
    refused(register(world, runtimes=(served, served)), nodes.BadRoles)


def test_unknown_runtimes_and_versions_are_refused():
    world = World()
    (served,) = world.descriptor(NODE).runtimes
    refused(register(world, runtimes=(replace(served, id=b"\x80" * 32),)), runtimes.UnknownRuntime)
    other = replace(served, version=Version(9, 9, 9))
    refused(register(world, runtimes=(other,)), nodes.VersionNotDeployed)


def test_a_node_without_enclave_is_refused():
    world = World()
    (served,) = world.descriptor(NODE).runtimes
    refused(register(world, runtimes=(replace(served, tee=None),)), nodes.AttestationMissing)


def test_an_observer_needs_no_enclave_and_one_that_it_shows_is_judged():
    world = World()
    (served,) = world.descriptor(NODE).runtimes
    world.verifier.refused.add(NODE.rak.public_key)
    refused(register(world, roles=int(Role.OBSERVER)), BadQuote)
    both = int(Role.OBSERVER | Role.COMPUTE)
    bare = (replace(served, tee=None),)
    refused(register(world, roles=both, runtimes=bare), nodes.AttestationMissing)
    assert register(world, roles=int(Role.OBSERVER), runtimes=bare).code == 0
    assert registered(world) is not None


def test_a_refused_attestation_refuses_the_registration_with_its_own_error():
    world = World()
    world.verifier.refused.add(NODE.rak.public_key)
    refused(register(world), BadQuote)
    assert registered(world) is None


def test_an_attestation_from_the_future_is_refused():
    world = World()
    (served,) = world.descriptor(NODE).runtimes
    ahead = replace(served, tee=world.capability(NODE, world.height + 50))
    refused(register(world, runtimes=(ahead,)), BadQuote)


def test_a_node_whose_entity_lacks_stake_is_refused():
    genesis = make_genesis()
    accounts = tuple(
        replace(account, escrow=150) if account.address == NODE.address else account
        for account in genesis.accounts
    )
    world = World(replace(genesis, accounts=accounts))
    refused(register(world), escrow.InsufficientStake)
    assert world.load(bytes, state_keys.key_owner_key(NODE.id)) is None


def test_expired_nodes_are_not_elected_and_later_forgotten():
    world = World.running()
    others = COMPUTE[1:]
    world.next_epoch(*others)
    world.next_epoch(*others)
    assert NODE.id not in world.committee.workers() + world.committee.backups()
    assert registered(world) is not None  # it can still be punished
    world.next_epoch(*others)
    assert registered(world) is None
    assert world.account(NODE).claims.keys() == {"registry.RegisterEntity"}
    assert world.load(bytes, state_keys.key_owner_key(NODE.tls.public_key)) is None


# -- elections -----------------------------------------------------------------------------------


def members(world: World) -> set[bytes]:
    return {member.node_id for member in world.committee.members}


def test_attestation_is_verified_again_at_election():
    world = World.running()
    world.verifier.refused.add(NODE.rak.public_key)
    world.next_epoch()
    assert members(world) == {keys.id for keys in COMPUTE[1:]}


def test_an_attestation_grows_too_old_for_an_election():
    world = World(make_genesis(registry=replace(make_genesis().registry, max_node_expiration=9)))
    (served,) = world.descriptor(NODE).runtimes
    for keys in COMPUTE:
        register(world, keys, expiration=world.epoch + 9)
    for _ in range(2):
        world.next_epoch()
        assert world.committee is not None
    world.next_epoch()
    assert world.committee is None
    assert served.tee.attestation.height < world.height


def test_stake_below_the_claims_costs_the_place_in_the_committee():
    world = World.running()
    state = world.state
    escrow.slash(state, NODE.address, 900, "test")
    context = BlockContext(
        world.height, world.time_ns, world.chain_context, bytes(20), world.verifier
    )
    advance_epoch(state, context)
    committee = state.load(Committee, state_keys.committee_key(PARATIME))
    assert NODE.id not in {member.node_id for member in committee.members}


def test_too_few_nodes_suspend_the_runtime_until_enough_come_back():
    world = World.running()
    for _ in range(3):
        world.next_epoch(*COMPUTE[:2])
    assert world.committee is None
    last = world.last
    world.next_epoch(*COMPUTE[:2])
    assert world.last == last  # suspended once, not in every epoch
    world.register(COMPUTE[2])
    assert world.committee is not None
    assert world.last.round == last.round + 1


# -- freezing ------------------------------------------------------------------------------------


def double_vote(world: World) -> None:
    address = validator_address(NODE.consensus.public_key)
    offence = Misbehavior(MisbehaviorKind.DOUBLE_VOTE, address, world.height, world.time_ns, 10)
    world.block(misbehavior=[offence])


def test_a_double_vote_slashes_once_and_freezes_for_ever():
    world = World.running()
    before = world.account(NODE).active.balance
    double_vote(world)
    assert world.account(NODE).active.balance == before - 70
    assert NODE.id not in members(world)  # elected anew in the same block
    double_vote(world)
    assert world.account(NODE).active.balance == before - 70
    result = world.run(NODE.entity, Method.UNFREEZE_NODE, UnfreezeNode(NODE.id))
    refused(result, entities.StillFrozen)


def test_an_offence_of_an_unregistered_validator_costs_nothing():
    world = World()
    double_vote(world)
    assert world.events.slashed == ()


def test_only_a_frozen_node_is_unfrozen_and_only_by_its_entity():
    world = World()
    unfreeze = UnfreezeNode(NODE.id)
    refused(world.run(NODE.entity, Method.UNFREEZE_NODE, unfreeze), entities.UnknownNode)
    world.register(NODE)
    refused(world.run(NODE.entity, Method.UNFREEZE_NODE, unfreeze), entities.NotFrozen)
    refused(world.run(OWNER.entity, Method.UNFREEZE_NODE, unfreeze), entities.NotOwner)


# -- runtimes ------------------------------------------------------------------------------------


def runtime(**changes) -> RuntimeDescriptor:
    deployment = Deployment(VERSION, 0, TeeConstraints((ENCLAVE,)))
    known = RuntimeDescriptor(
        NEW_RUNTIME, OWNER.entity.public_key, RuntimeKind.COMPUTE, (deployment,), KEY_MANAGER
    )
    return replace(known, **changes)


def test_a_new_paratime_begins_with_an_empty_block_zero():
    world = World()
    world.must(OWNER.entity, Method.REGISTER_RUNTIME, runtime())
    first = world.load(BlockHeader, state_keys.last_block_key(NEW_RUNTIME))
    assert first.round == 0
    assert world.events.finalized[0].header == first
    assert world.store.rounds.load_header(NEW_RUNTIME, 0) == first


def test_runtimes_belong_to_their_entity():
    world = World()
    refused(world.run(NODE.entity, Method.REGISTER_RUNTIME, runtime()), entities.NotOwner)
    stolen = runtime(id=PARATIME, entity_id=NODE.entity.public_key)
    refused(world.run(NODE.entity, Method.REGISTER_RUNTIME, stolen), entities.NotOwner)


def deployed(*begins: int) -> tuple[Deployment, ...]:
    return tuple(
        Deployment(Version(0, 1, index), begin, TeeConstraints((ENCLAVE,)))
        for index, begin in enumerate(begins)
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"id": b"\xc0" + bytes(30) + b"\x09"},
        {"kind": RuntimeKind.KEY_MANAGER},
        {"key_manager": PARATIME},
        {"deployments": ()},
        {"deployments": (*deployed(0), *deployed(1))},
        {"deployments": deployed(0, 8, 9)},
        {"deployments": (Deployment(VERSION, 0, TeeConstraints(())),)},
        {
            "deployments": (
                Deployment(VERSION, 0, TeeConstraints((ENCLAVE,), max_attestation_age=0)),
            )
        },
        {"executor": ExecutorParameters(group_size=0)},
        {"executor": ExecutorParameters(group_backup_size=0)},
        {"executor": ExecutorParameters(group_size=2, allowed_stragglers=2)},
        {"executor": ExecutorParameters(allowed_stragglers=2**64 - 1)},
        {"executor": ExecutorParameters(round_timeout_ms=2**63)},
        {"executor": ExecutorParameters(min_live_rounds_percent=101)},
        {"reward_bad_results_percent": 101},
    ],
)
def test_a_runtime_that_contradicts_itself_is_refused(changes):
    world = World()
    result = world.run(OWNER.entity, Method.REGISTER_RUNTIME, runtime(**changes))
    assert result.codespace == "registry"
    assert world.load(RuntimeDescriptor, state_keys.runtime_key(NEW_RUNTIME)) is None


def test_an_upgrade_comes_with_a_later_epoch_and_evicts_the_old_version():
    world = World.running()
    known = world.load(RuntimeDescriptor, state_keys.runtime_key(PARATIME))
    newer = Deployment(Version(0, 2, 0), world.epoch + 1, TeeConstraints((ENCLAVE,)))
    upgrade = replace(known, deployments=(*known.deployments, newer))
    now = replace(newer, valid_from=world.epoch)
    refused(
        world.run(
            OWNER.entity,
            Method.REGISTER_RUNTIME,
            replace(upgrade, deployments=(*known.deployments, now)),
        ),
        runtimes.ForbiddenRuntimeUpdate,
    )
    world.must(OWNER.entity, Method.REGISTER_RUNTIME, upgrade)
    ready = COMPUTE[:3]
    for keys in ready:  # a node may register for what is to come
        (served,) = world.descriptor(keys).runtimes
        assert register(world, keys, runtimes=(replace(served, version=newer.version),)).code == 0
    world.next_epoch()
    assert members(world) == {keys.id for keys in ready}
    refused(register(world, COMPUTE[3]), nodes.VersionNotDeployed)


def test_what_runs_already_does_not_change():
    world = World()
    known = world.load(RuntimeDescriptor, state_keys.runtime_key(PARATIME))
    other = TeeConstraints((EnclaveIdentity(b"z" * 32, b"z" * 32),))
    for changed in (
        replace(known, genesis=b"another"),
        replace(known, deployments=(Deployment(VERSION, 0, other),)),
    ):
        result = world.run(OWNER.entity, Method.REGISTER_RUNTIME, changed)
        refused(result, runtimes.ForbiddenRuntimeUpdate)


def test_a_changed_parameter_waits_for_the_next_epoch():
    world = World.running()
    known = world.load(RuntimeDescriptor, state_keys.runtime_key(PARATIME))
    lax = replace(known, executor=replace(known.executor, allowed_stragglers=1))
    world.must(OWNER.entity, Method.REGISTER_RUNTIME, lax)
    first = world.scheduler()
    two = [first, next(k for k in world.workers() if k != first)]
    world.vote(*((k, b"r" * 32) for k in two))
    assert world.events.finalized == ()
    world.next_epoch(*COMPUTE)
    first = world.scheduler()
    two = [first, next(k for k in world.workers() if k != first)]
    world.vote(*((k, b"r" * 32) for k in two))
    assert len(world.events.finalized) == 1


# -- genesis -------------------------------------------------------------------------------------


def test_genesis_without_stake_for_its_entities_is_refused():
    genesis = make_genesis(accounts=())
    with pytest.raises(escrow.InsufficientStake):
        World(genesis)


def test_genesis_is_refused_where_an_account_is_named_twice():
    genesis = make_genesis()
    double = (*genesis.accounts, GenesisAccount(NODE.address, 1))
    with pytest.raises(InvalidGenesis, match="named twice"):
        World(replace(genesis, accounts=double))


@pytest.mark.parametrize(
    "changes",
    [
        {"beacon": BeaconParameters(0, 2)},
        {"beacon": BeaconParameters(1000, 2**63)},
        {"staking": StakingParameters({}, {}, debonding_interval=2**63)},
        {"registry": RegistryParameters(max_node_expiration=2**63)},
    ],
)
def test_genesis_with_impossible_parameters_is_refused(changes):
    with pytest.raises(InvalidGenesis):
        World(make_genesis(**changes))


def test_chain_context_stands_in_the_state():
    world = World()
    context = world.load(bytes, state_keys.CHAIN_CONTEXT)
    assert context == world.genesis.chain_context().encode()
