"""Key managers: policy, committee, and secrets that count by their replicas."""

from dataclasses import replace

import pytest

from services.consensus.rules.keymanager import secrets, status
from services.consensus.rules.registry import entities
from services.consensus.rules.registry.runtimes import MalformedRuntime
from shared.encoding.record import encode_record
from shared.rules import state_keys
from shared.rules.key_policy import TooFewPolicySigners, policy_checksum
from shared.types.keymanager import (
    ENCRYPTED_SECRET,
    EncryptedSecret,
    InitResponse,
    Policy,
    PublishedSecret,
    SignedPolicy,
    SignedPublishedSecret,
)
from shared.types.methods import Method
from shared.types.registry import RuntimeDescriptor
from tests.support.consensus_world import (
    COMPUTE,
    KEY_MANAGER,
    MANAGERS,
    OWNER,
    PARATIME,
    POLICY_SIGNERS,
    World,
    make_genesis,
    make_policy,
    signer,
)

FIRST, SECOND = b"1" * 32, b"2" * 32
RSK, NEXT_RSK = b"k" * 32, b"K" * 32


def refused(result, error) -> None:
    assert (result.codespace, result.code) == (error.module, error.code), result.log


def rek(world: World, keys) -> bytes:
    return world.capability(keys).rek


def secret_of(
    world: World, by, receivers, *, checksum=FIRST, generation=0, epoch=None, chain=None, **changes
) -> SignedPublishedSecret:
    published = PublishedSecret(
        KEY_MANAGER,
        world.epoch + 1 if epoch is None else epoch,
        EncryptedSecret(checksum, b"p" * 32, {rek(world, k): b"ciphertext" for k in receivers}),
        generation,
    )
    published = replace(published, **changes)
    context = ENCRYPTED_SECRET.for_chain(chain or world.chain_context)
    return SignedPublishedSecret(published, by.rak.sign(context, encode_record(published)))


def publish(world: World, by, receivers, **options):
    body = secret_of(world, by, receivers, **options)
    is_master = body.secret.generation is not None
    method = Method.PUBLISH_MASTER_SECRET if is_master else Method.PUBLISH_EPHEMERAL_SECRET
    return world.run(by.node, method, body)


def say(
    world: World,
    keys,
    *,
    checksum=b"",
    rsk=None,
    stored=b"",
    next_rsk=None,
    policy=None,
    epochs=(),
):
    """Register a key manager node whose enclave says this of its secrets."""
    response = InitResponse(
        False,
        checksum,
        policy_checksum(policy or world.genesis.policies[0]),
        rsk,
        stored,
        next_rsk,
        epochs,
    )
    (served,) = world.descriptor(keys).runtimes
    info = encode_record(world.init_response(keys, response))
    descriptor = world.descriptor(keys, runtimes=(replace(served, extra_info=info),))
    return world.run(keys.node, Method.REGISTER_NODE, world.signed(keys, descriptor))


def initialized(genesis=None) -> World:
    """Three members who hold the first secret."""
    world = World(genesis)
    world.register(*MANAGERS)
    assert publish(world, MANAGERS[0], MANAGERS).code == 0
    for keys in MANAGERS:
        say(world, keys, stored=FIRST, next_rsk=RSK)
    for keys in MANAGERS:
        say(world, keys, checksum=FIRST, rsk=RSK)
    assert world.key_manager.is_initialized
    return world


# -- the committee -------------------------------------------------------------------------------


def test_nodes_join_the_committee_when_they_register():
    world = World()
    assert world.key_manager.nodes == ()
    world.register(*MANAGERS[:2])
    assert set(world.key_manager.nodes) == {k.id for k in MANAGERS[:2]}
    assert world.events.key_managers == (world.key_manager,)


def test_a_node_that_follows_another_policy_is_left_out():
    world = World()
    say(world, MANAGERS[0], policy=make_policy(9))
    assert world.key_manager.nodes == ()


def test_a_node_with_other_secrets_is_left_out():
    world = initialized()
    say(world, MANAGERS[1], checksum=SECOND, rsk=RSK)
    assert MANAGERS[1].id not in world.key_manager.nodes
    say(world, MANAGERS[1], checksum=FIRST, rsk=NEXT_RSK)
    assert MANAGERS[1].id not in world.key_manager.nodes
    say(world, MANAGERS[1], checksum=FIRST, rsk=RSK)
    assert MANAGERS[1].id in world.key_manager.nodes


def test_a_node_that_brings_secrets_to_a_young_key_manager_is_left_out():
    world = World()
    say(world, MANAGERS[0], checksum=FIRST, rsk=RSK)
    assert world.key_manager.nodes == ()


def test_a_key_manager_registers_with_its_enclaves_word():
    world = World()
    keys = MANAGERS[0]
    (served,) = world.descriptor(keys).runtimes
    silent = world.signed(
        keys, world.descriptor(keys, runtimes=(replace(served, extra_info=None),))
    )
    refused(world.run(keys.node, Method.REGISTER_NODE, silent), status.MissingInitResponse)
    forged = encode_record(world.init_response(replace(keys, rak=signer("another"))))
    body = world.signed(
        keys, world.descriptor(keys, runtimes=(replace(served, extra_info=forged),))
    )
    assert world.run(keys.node, Method.REGISTER_NODE, body).codespace == "crypto"


def test_members_that_do_not_renew_leave_at_the_epoch():
    world = initialized()
    world.next_epoch(*MANAGERS[:1])
    world.next_epoch()
    assert set(world.key_manager.nodes) <= {MANAGERS[0].id}


# -- policy --------------------------------------------------------------------------------------


def test_the_owner_raises_the_serial_and_the_committee_follows():
    world = World()
    world.register(*MANAGERS)
    world.must(OWNER.entity, Method.UPDATE_POLICY, make_policy(2))
    assert world.key_manager.policy == make_policy(2)
    assert world.key_manager.nodes == ()
    say(world, MANAGERS[0], policy=make_policy(2))
    assert world.key_manager.nodes == (MANAGERS[0].id,)


@pytest.mark.parametrize("serial", [0, 1])
def test_an_old_serial_is_refused(serial):
    result = World().run(OWNER.entity, Method.UPDATE_POLICY, make_policy(serial))
    refused(result, status.StalePolicy)


def test_only_the_owner_changes_the_policy():
    result = World().run(COMPUTE[0].entity, Method.UPDATE_POLICY, make_policy(2))
    refused(result, entities.NotOwner)


def test_a_policy_with_a_bad_signature_is_refused():
    policy = make_policy(2)
    forged = replace(policy.signatures[0], signature=bytes(64))
    body = replace(policy, signatures=(forged,))
    assert World().run(OWNER.entity, Method.UPDATE_POLICY, body).codespace == "crypto"


@pytest.mark.parametrize(
    "by",
    [
        (),
        POLICY_SIGNERS[:1],
        (POLICY_SIGNERS[0], POLICY_SIGNERS[0]),
        (POLICY_SIGNERS[0], signer("a stranger")),
        (signer("a stranger"), signer("another one")),
    ],
    ids=["nobody", "one", "one twice", "one and a stranger", "strangers"],
)
def test_a_policy_with_too_few_signers_is_refused(by):
    world = World()
    refused(
        world.run(OWNER.entity, Method.UPDATE_POLICY, make_policy(2, by=by)), TooFewPolicySigners
    )
    assert world.key_manager.policy == world.genesis.policies[0]
    with pytest.raises(TooFewPolicySigners):
        World(make_genesis(policy=make_policy(by=by)))


@pytest.mark.parametrize(
    "changes",
    [
        {"policy_signers": (), "policy_threshold": 0},
        {"policy_threshold": 0},
        {"policy_threshold": 3},
        {"policy_signers": (POLICY_SIGNERS[0].public_key,) * 2},
    ],
)
def test_a_key_manager_names_signers_of_whom_enough_can_sign(changes):
    genesis = make_genesis()
    runtimes = tuple(
        replace(one, **changes) if one.id == KEY_MANAGER else one for one in genesis.runtimes
    )
    with pytest.raises(MalformedRuntime):
        World(replace(genesis, runtimes=runtimes))


def test_a_paratime_has_no_policy_signers():
    keys = tuple(one.public_key for one in POLICY_SIGNERS)
    with pytest.raises(MalformedRuntime):
        World(make_genesis(paratime={"policy_signers": keys, "policy_threshold": 1}))


def test_new_signers_sign_the_next_policy():
    world = World()
    known = world.load(RuntimeDescriptor, state_keys.runtime_key(KEY_MANAGER))
    heir = signer("an heir")
    changed = replace(known, policy_signers=(heir.public_key,), policy_threshold=1)
    world.must(OWNER.entity, Method.REGISTER_RUNTIME, changed)
    refused(world.run(OWNER.entity, Method.UPDATE_POLICY, make_policy(2)), TooFewPolicySigners)
    world.must(OWNER.entity, Method.UPDATE_POLICY, make_policy(2, by=(heir,)))
    assert world.key_manager.policy == make_policy(2, by=(heir,))


def test_a_policy_is_for_a_key_manager():
    body = SignedPolicy(encode_record(Policy(5, PARATIME, ())), ())
    refused(World().run(OWNER.entity, Method.UPDATE_POLICY, body), status.NotKeyManager)


# -- the master secret ---------------------------------------------------------------------------


def test_the_first_secret_counts_once_two_thirds_hold_it():
    world = World()
    world.register(*MANAGERS)
    assert publish(world, MANAGERS[0], MANAGERS).code == 0
    assert world.events.secrets != ()
    assert not world.key_manager.is_initialized
    say(world, MANAGERS[0], stored=FIRST, next_rsk=RSK)
    assert not world.key_manager.is_initialized
    say(world, MANAGERS[1], stored=FIRST, next_rsk=RSK)
    status = world.key_manager
    assert (status.is_initialized, status.generation, status.checksum) == (True, 0, FIRST)
    assert (status.rsk, status.rotation_epoch, status.is_secure) == (RSK, world.epoch, False)
    assert MANAGERS[2].id not in status.nodes  # until it has replicated


def test_holders_that_disagree_about_the_signing_key_do_not_count():
    world = World()
    world.register(*MANAGERS)
    publish(world, MANAGERS[0], MANAGERS)
    for index, keys in enumerate(MANAGERS):
        say(world, keys, stored=FIRST, next_rsk=bytes([index]) * 32)
    assert not world.key_manager.is_initialized


def test_a_proposal_dies_with_its_epoch():
    world = World()
    world.register(*MANAGERS)
    publish(world, MANAGERS[0], MANAGERS)
    world.next_epoch(*MANAGERS)
    world.next_epoch(*MANAGERS)
    for keys in MANAGERS:
        say(world, keys, stored=FIRST, next_rsk=RSK)
    assert not world.key_manager.is_initialized
    assert publish(world, MANAGERS[0], MANAGERS, checksum=SECOND).code == 0


def test_a_proposal_that_too_few_members_can_open_is_replaced():
    world = World()
    world.register(*MANAGERS[:1])
    assert publish(world, MANAGERS[0], MANAGERS[:1]).code == 0
    world.register(*MANAGERS[1:])
    assert publish(world, MANAGERS[0], MANAGERS, checksum=SECOND).code == 0
    refused(publish(world, MANAGERS[1], MANAGERS), secrets.AlreadyPublished)
    for keys in MANAGERS:
        say(world, keys, stored=SECOND, next_rsk=RSK)
    assert world.key_manager.checksum == SECOND


def test_rotation_takes_two_thirds_and_the_start_of_its_epoch():
    world = initialized(make_genesis(policy=make_policy(rotation=1)))
    assert publish(world, MANAGERS[0], MANAGERS, checksum=SECOND, generation=1).code == 0
    for keys in MANAGERS[:2]:
        say(world, keys, checksum=FIRST, rsk=RSK, stored=SECOND, next_rsk=NEXT_RSK)
    assert world.key_manager.generation == 0
    world.next_epoch()
    status = world.key_manager
    assert (status.generation, status.checksum, status.rsk) == (1, SECOND, NEXT_RSK)
    assert set(status.nodes) == {k.id for k in MANAGERS[:2]}


def test_rotation_without_replicas_changes_nothing_and_is_tried_again():
    world = initialized(make_genesis(policy=make_policy(rotation=1)))
    before = world.key_manager
    publish(world, MANAGERS[0], MANAGERS, checksum=SECOND, generation=1)
    say(world, MANAGERS[0], checksum=FIRST, rsk=RSK, stored=SECOND, next_rsk=NEXT_RSK)
    world.next_epoch()
    status = world.key_manager
    assert (status.generation, status.checksum) == (before.generation, before.checksum)
    assert publish(world, MANAGERS[0], MANAGERS, checksum=b"3" * 32, generation=1).code == 0


def test_rotation_waits_for_the_interval_of_the_policy():
    world = initialized(make_genesis(policy=make_policy(rotation=3)))
    result = publish(world, MANAGERS[0], MANAGERS, checksum=SECOND, generation=1)
    refused(result, secrets.RotationNotDue)
    never = initialized()
    result = publish(never, MANAGERS[0], MANAGERS, checksum=SECOND, generation=1)
    refused(result, secrets.RotationNotDue)


def test_what_a_master_secret_must_be():
    world = World()
    world.register(*MANAGERS)
    sender = MANAGERS[0]
    refused(publish(world, sender, MANAGERS, generation=1), secrets.WrongGeneration)
    refused(publish(world, sender, MANAGERS, epoch=world.epoch), secrets.WrongEpoch)
    refused(publish(world, sender, MANAGERS[:1]), secrets.WrongReceivers)
    refused(publish(world, sender, (*MANAGERS, COMPUTE[0])), secrets.WrongReceivers)
    refused(publish(world, COMPUTE[0], MANAGERS), secrets.NotCommitteeMember)
    assert publish(world, sender, MANAGERS, chain="00" * 32).codespace == "crypto"
    impostor = replace(sender, rak=signer("another enclave"))
    assert publish(world, impostor, MANAGERS).codespace == "crypto"
    assert publish(world, sender, MANAGERS).code == 0
    refused(publish(world, MANAGERS[1], MANAGERS), secrets.AlreadyPublished)


def test_each_method_takes_its_own_kind_of_secret():
    world = World()
    world.register(*MANAGERS)
    master = secret_of(world, MANAGERS[0], MANAGERS)
    ephemeral = secret_of(world, MANAGERS[0], MANAGERS, generation=None)
    for method, body in (
        (Method.PUBLISH_EPHEMERAL_SECRET, master),
        (Method.PUBLISH_MASTER_SECRET, ephemeral),
    ):
        refused(world.run(MANAGERS[0].node, method, body), secrets.WrongKind)


# -- ephemeral secrets ---------------------------------------------------------------------------


def test_one_ephemeral_secret_for_this_epoch_and_one_for_the_next():
    world = initialized()
    epoch = world.epoch

    def ephemeral(for_epoch: int):
        return publish(world, MANAGERS[0], MANAGERS, generation=None, epoch=for_epoch)

    refused(ephemeral(epoch - 1), secrets.WrongEpoch)
    refused(ephemeral(epoch + 2), secrets.WrongEpoch)
    assert ephemeral(epoch).code == 0
    refused(ephemeral(epoch), secrets.AlreadyPublished)
    assert ephemeral(epoch + 1).code == 0
    refused(ephemeral(epoch + 1), secrets.AlreadyPublished)
    newest = world.load(SignedPublishedSecret, state_keys.ephemeral_secret_key(KEY_MANAGER))
    assert newest.secret.epoch == epoch + 1
    world.next_epoch()
    refused(ephemeral(epoch + 1), secrets.AlreadyPublished)
    assert ephemeral(epoch + 2).code == 0


def test_an_old_epochs_secret_is_not_published_after_the_next_one():
    world = initialized()
    assert publish(world, MANAGERS[0], MANAGERS, generation=None).code == 0
    result = publish(world, MANAGERS[0], MANAGERS, generation=None, epoch=world.epoch)
    refused(result, secrets.AlreadyPublished)


# -- open epochs ---------------------------------------------------------------------------------


def test_epoch_stays_open_as_long_as_a_member_says_that_it_holds_the_secret():
    world = initialized()
    start = world.epoch
    for keys, epochs in zip(MANAGERS, ((start,), (), (start, start + 1)), strict=True):
        say(world, keys, checksum=FIRST, rsk=RSK, epochs=epochs)
    assert world.key_manager.open_epochs == ()
    world.next_epoch()
    assert world.key_manager.open_epochs == (start,)
    # What is said in the middle of an epoch counts from the next one on: all nodes see the same.
    for keys in MANAGERS:
        say(world, keys, checksum=FIRST, rsk=RSK, epochs=())
    assert world.key_manager.open_epochs == (start,)
    world.next_epoch()
    assert world.key_manager.open_epochs == ()


def test_epochs_stay_open_where_several_pass_at_once():
    world = initialized()
    start = world.epoch
    for keys in MANAGERS:
        say(world, keys, checksum=FIRST, rsk=RSK, epochs=(start,))
    for _ in range(4):
        world.next_epoch()
    assert world.key_manager.nodes == ()
    assert world.key_manager.open_epochs == (start,)
    # Whoever comes back says what is held by now.
    for keys in MANAGERS:
        say(world, keys, checksum=FIRST, rsk=RSK, epochs=())
    world.next_epoch()
    assert world.key_manager.open_epochs == ()


def test_epochs_out_of_reach_are_not_open():
    world = initialized()
    start = world.epoch
    for keys in MANAGERS:
        say(world, keys, checksum=FIRST, rsk=RSK, epochs=(start,))
    for _ in range(30):
        world.next_epoch()
    assert world.key_manager.open_epochs == ()


def test_twenty_epochs_are_open_at_most():
    world = initialized()
    for keys in MANAGERS:
        say(world, keys, checksum=FIRST, rsk=RSK, epochs=tuple(range(world.epoch + 9)))
    world.next_epoch()
    assert len(world.key_manager.open_epochs) <= status.MAX_OPEN_EPOCHS
    assert all(epoch < world.epoch for epoch in world.key_manager.open_epochs)


@pytest.mark.parametrize("holds", [True, False])
def test_proposal_stands_where_members_hold_it_that_registered_with_new_keys(holds):
    world = World()
    world.register(*MANAGERS)
    assert publish(world, MANAGERS[0], MANAGERS).code == 0
    anew = [replace(keys, rak=signer(f"rak of {keys.id!r}")) for keys in MANAGERS[:2]]
    say(world, anew[0], stored=FIRST if holds else b"")
    say(world, anew[1])
    result = publish(world, MANAGERS[2], (*anew, MANAGERS[2]), checksum=SECOND)
    if holds:
        refused(result, secrets.AlreadyPublished)
    else:
        assert result.code == 0
