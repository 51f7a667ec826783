from dataclasses import replace

import pytest

from services.keymanager.rules.duties import (
    DENIED_PATIENCE_MS,
    LOSS_PATIENCE_MS,
    NEXT_EPOCH_PAUSE_MS,
    OPEN_LOSS_PATIENCE_MS,
    RANK_PAUSE_MS,
    Loss,
    PublishEphemeral,
    PublishMaster,
    due_publications,
    epochs_to_skip,
    find_loss,
    lost_open_epochs,
    publisher_rank,
    replication_peers,
)
from services.keymanager.rules.proven_chain import (
    KeyManagerChain,
    is_open_proposal,
    next_generation,
)
from shared.encoding.record import encode_record
from shared.types.keymanager import (
    EncryptedSecret,
    InitResponse,
    KeyManagerStatus,
    PublishedSecret,
    SignedInitResponse,
    SignedPublishedSecret,
)
from shared.types.registry import (
    NodeDescriptor,
    NodeRuntime,
    Role,
    RuntimeDescriptor,
    RuntimeKind,
    Version,
)
from tests.support import mock_tee
from tests.support.keymanager import KEY_MANAGER_ID, make_policy, sign_policy

NODES = (b"a" * 32, b"b" * 32, b"c" * 32)
EPOCH = 6


def published(epoch: int, generation: int | None = None) -> SignedPublishedSecret:
    secret = EncryptedSecret(bytes(32), bytes(32), {})
    return SignedPublishedSecret(
        PublishedSecret(KEY_MANAGER_ID, epoch, secret, generation), bytes(64)
    )


def chain(*, master=None, ephemeral=None, rotation_interval=0, **status) -> KeyManagerChain:
    policy = sign_policy(make_policy(master_secret_rotation_interval=rotation_interval))
    known = {"is_initialized": True, "nodes": NODES, "policy": policy, "rotation_epoch": 2}
    return KeyManagerChain(
        epoch=EPOCH,
        runtime=RuntimeDescriptor(KEY_MANAGER_ID, bytes(32), RuntimeKind.KEY_MANAGER, ()),
        status=KeyManagerStatus(KEY_MANAGER_ID, **(known | status)),
        master=master,
        ephemeral=ephemeral,
        members=(),
    )


def publisher(state: KeyManagerChain) -> bytes:
    (first,) = (node for node in NODES if publisher_rank(state, node) == 0)
    return first


def test_nothing_is_due_when_the_next_epoch_has_its_secret():
    state = chain(ephemeral=published(EPOCH + 1))
    assert due_publications(state, publisher(state)) == ()


def test_who_is_no_member_publishes_nothing():
    assert due_publications(chain(), b"x" * 32) == ()


def test_secret_of_this_epoch_is_due_at_once_when_it_is_missing():
    for ephemeral in (None, published(EPOCH - 1)):
        state = chain(ephemeral=ephemeral)
        assert due_publications(state, publisher(state)) == (PublishEphemeral(EPOCH, 0),)


def test_secret_of_the_next_epoch_is_due_a_little_later():
    state = chain(ephemeral=published(EPOCH))
    assert due_publications(state, publisher(state)) == (
        PublishEphemeral(EPOCH + 1, NEXT_EPOCH_PAUSE_MS),
    )


def test_members_take_turns_by_rank_and_epoch():
    state = chain()
    pauses = sorted(due_publications(state, node)[0].pause_ms for node in NODES)
    assert pauses == [0, RANK_PAUSE_MS, 2 * RANK_PAUSE_MS]
    later = replace(state, epoch=EPOCH + 1)
    assert publisher(later) != publisher(state)


@pytest.mark.parametrize(
    ("master", "is_due"),
    [
        (None, True),
        (published(EPOCH + 1, 0), False),
        (published(EPOCH, 0), False),
        (published(EPOCH - 1, 0), True),
    ],
    ids=["none", "proposed", "proposed in the last epoch", "dead"],
)
def test_first_master_secret_is_due_unless_it_is_proposed(master, is_due):
    state = chain(
        is_initialized=False, master=master, ephemeral=published(EPOCH + 1), rotation_epoch=None
    )
    due = due_publications(state, publisher(state))
    assert due == ((PublishMaster(0),) if is_due else ())


@pytest.mark.parametrize(
    ("interval", "rotated", "is_due"),
    [(0, 0, False), (4, 3, True), (4, 4, False), (1, 6, True), (1, 7, False)],
)
def test_rotation_is_due_by_the_interval_of_the_policy(interval, rotated, is_due):
    state = chain(
        rotation_interval=interval,
        rotation_epoch=rotated,
        master=published(3, 0),
        ephemeral=published(EPOCH + 1),
    )
    due = due_publications(state, publisher(state))
    assert due == ((PublishMaster(0),) if is_due else ())


def test_without_a_policy_no_master_secret_is_made():
    state = chain(is_initialized=False, policy=None, ephemeral=published(EPOCH + 1))
    assert due_publications(state, publisher(state)) == ()


def test_accepted_secret_is_no_open_proposal():
    state = chain(master=published(EPOCH, 0))
    assert next_generation(state.status) == 1
    assert not is_open_proposal(state)


def test_a_node_does_not_replicate_from_itself():
    assert replication_peers(chain(), NODES[1]) == (NODES[0], NODES[2])


@pytest.mark.parametrize(
    ("published_epoch", "held", "skipped"),
    [
        (EPOCH, (EPOCH,), 0),
        (EPOCH, (), 1),
        (EPOCH + 1, (EPOCH + 1,), 2),
        (EPOCH + 1, (), 2),
        (EPOCH - 1, (), 0),
    ],
    ids=["held", "lost", "only the next is held", "both lost", "not published yet"],
)
def test_lost_secret_is_left_behind_with_its_epoch(published_epoch, held, skipped):
    assert epochs_to_skip(chain(ephemeral=published(published_epoch)), held) == skipped


def test_nothing_is_lost_where_nothing_was_published():
    assert epochs_to_skip(chain(), ()) == 0


@pytest.mark.parametrize(
    ("open_epochs", "held", "lost"),
    [
        ((4, 5), (4, 5, 6), ()),
        ((4, 5), (5, 6), (4,)),
        ((5,), (), (5,)),
        ((1,), (6,), (1,)),
        ((0,), (6,), ()),
    ],
    ids=["held", "one lost", "all lost", "the oldest that is asked for", "too old to be asked for"],
)
def test_open_epoch_whose_secret_nobody_has_is_found(open_epochs, held, lost):
    assert lost_open_epochs(chain(open_epochs=open_epochs), held) == lost


def member(node_id: bytes, rek: bytes, said: bytes | None = None) -> NodeDescriptor:
    tee = replace(mock_tee.attested(node_id=node_id), rek=rek)
    return NodeDescriptor(
        id=node_id,
        entity_id=bytes(32),
        expiration=EPOCH,
        consensus_key=bytes(32),
        tls_key=bytes(32),
        roles=int(Role.KEY_MANAGER),
        runtimes=(NodeRuntime(KEY_MANAGER_ID, Version(0, 1, 0), tee, said),),
    )


def saying(*epochs: int) -> bytes:
    response = InitResponse(False, bytes(32), bytes(32), ephemeral_epochs=epochs)
    return encode_record(SignedInitResponse(response, bytes(64)))


@pytest.mark.parametrize(
    ("said", "patience_ms"),
    [
        ([saying(), saying(), saying(4, 5)], DENIED_PATIENCE_MS),
        ([saying(), saying(), saying(EPOCH)], LOSS_PATIENCE_MS),
        ([saying(), saying(), None], LOSS_PATIENCE_MS),
        ([saying(), saying()], LOSS_PATIENCE_MS),
    ],
    ids=["all deny it", "one claims it", "one says nothing", "one is not registered"],
)
def test_a_secret_that_all_deny_is_given_up_soon(said, patience_ms):
    members = tuple(member(node, bytes(32), one) for node, one in zip(NODES, said, strict=False))
    state = replace(chain(ephemeral=published(EPOCH)), members=members)
    assert find_loss(state, ()) == Loss(1, patience_ms)
    assert find_loss(state, (EPOCH,)) is None


def test_an_open_epoch_is_given_up_late():
    assert find_loss(chain(open_epochs=(5,)), (EPOCH,)) == Loss(1, OPEN_LOSS_PATIENCE_MS)


@pytest.mark.parametrize(("receivers", "is_due"), [(0, True), (1, True), (2, False), (3, False)])
def test_proposal_that_too_few_members_can_open_is_made_anew(receivers, is_due):
    reks = [bytes([number]) * 32 for number in (1, 2, 3)]
    encrypted = EncryptedSecret(bytes(32), bytes(32), dict.fromkeys(reks[:receivers], b""))
    proposal = SignedPublishedSecret(
        PublishedSecret(KEY_MANAGER_ID, EPOCH + 1, encrypted, 0), bytes(64)
    )
    state = replace(
        chain(is_initialized=False, master=proposal, ephemeral=published(EPOCH + 1)),
        members=tuple(map(member, NODES, reks)),
    )
    due = due_publications(state, publisher(state))
    assert due == ((PublishMaster(0),) if is_due else ())


@pytest.mark.parametrize(("generation", "is_open"), [(0, True), (1, False)])
def test_later_proposal_is_over_when_its_epoch_has_begun(generation, is_open):
    state = chain(is_initialized=generation > 0, master=published(EPOCH, generation))
    assert is_open_proposal(state) == is_open
