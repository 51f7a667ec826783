import pytest

from services.keymanager.enclave.derivation import checksum_ephemeral_secret
from services.keymanager.enclave.ephemeral import EphemeralSecrets
from services.keymanager.enclave.master import MasterSecrets
from services.keymanager.enclave.policy import Permissions
from services.keymanager.enclave.release import KeyRelease, answer_request
from services.keymanager.enclave.vault import ChainPosition, Vault
from shared.crypto.secret import SecretBytes
from shared.encoding import frames
from shared.errors import BadRequest, MethodNotFound
from shared.rules.key_policy import verify_public_key
from shared.types.key_requests import (
    MAX_KEY_PAIRS,
    ChainView,
    EphemeralSecretMissing,
    EpochOutOfReach,
    FreshnessUnproven,
    MasterSecretMissing,
    PolicyMissing,
    QueryForbidden,
    ReplicationForbidden,
    StaleAsker,
    TooManyKeyPairs,
    decode_key_answer,
    encode_key_request,
)
from tests.support.keymanager import (
    COMPUTE,
    HEIR,
    KEY_MANAGER,
    KEY_MANAGER_ID,
    OTHER_PARATIME_ID,
    PARATIME_ID,
    STRANGER,
    MemoryFiles,
    make_policy,
    make_sealer,
)

SECOND = 1_000_000_000
NOW = ChainPosition(height=900, time_ns=5_000 * SECOND, epoch=12)
FRESH = ChainView(height=890, time_ns=NOW.time_ns - 600 * SECOND)
STALE = ChainView(height=899, time_ns=FRESH.time_ns - 1)
IDS = (b"1" * 32, b"2" * 32)


@pytest.fixture
def vault() -> Vault:
    master = MasterSecrets(KEY_MANAGER_ID, make_sealer(), MemoryFiles())
    for generation in range(2):
        secret = SecretBytes(bytes([generation + 1]) * 32)
        checksum = master.next_checksum(secret, generation)
        master.propose(secret, generation, checksum)
        master.follow(generation, checksum)
    ephemeral = EphemeralSecrets(KEY_MANAGER_ID)
    for epoch in (1, 11, 12, 13):
        secret = SecretBytes(epoch.to_bytes(32, "big"))
        ephemeral.add(epoch, secret, checksum_ephemeral_secret(secret, KEY_MANAGER_ID, epoch))
    vault = Vault(KEY_MANAGER_ID, master, ephemeral)
    vault.position, vault.is_fresh = NOW, True
    vault.permissions = Permissions(make_policy(), KEY_MANAGER)
    return vault


def test_listed_enclave_gets_the_keys_of_its_paratime_in_order(vault):
    pairs = KeyRelease(vault, COMPUTE).get_or_create_keys(PARATIME_ID, IDS, 0, FRESH)
    assert pairs == tuple(vault.long_term_keys(PARATIME_ID, id_, 0) for id_ in IDS)


def test_ephemeral_keys_of_the_window_are_released(vault):
    release = KeyRelease(vault, COMPUTE)
    for epoch in (11, 12, 13):
        (pair,) = release.get_or_create_ephemeral_keys(PARATIME_ID, IDS[:1], epoch, FRESH)
        assert pair == vault.ephemeral_keys(PARATIME_ID, IDS[0], epoch)


@pytest.mark.parametrize("peer", [STRANGER, HEIR, KEY_MANAGER], ids=["stranger", "heir", "self"])
def test_enclave_that_is_not_listed_for_the_paratime_gets_no_key(vault, peer):
    release = KeyRelease(vault, peer)
    with pytest.raises(QueryForbidden):
        release.get_or_create_keys(PARATIME_ID, IDS, 0, FRESH)
    with pytest.raises(QueryForbidden):
        release.get_or_create_ephemeral_keys(PARATIME_ID, IDS, 12, FRESH)


def test_listed_enclave_gets_no_key_of_another_paratime(vault):
    with pytest.raises(QueryForbidden):
        KeyRelease(vault, COMPUTE).get_or_create_keys(OTHER_PARATIME_ID, IDS, 0, FRESH)


def test_stale_asker_gets_nothing(vault):
    compute, heir = KeyRelease(vault, COMPUTE), KeyRelease(vault, HEIR)
    for ask in (
        lambda: compute.get_or_create_keys(PARATIME_ID, IDS, 0, STALE),
        lambda: compute.get_or_create_ephemeral_keys(PARATIME_ID, IDS, 12, STALE),
        lambda: heir.replicate_master_secret(0, STALE),
        lambda: heir.replicate_ephemeral_secret(12, STALE),
    ):
        with pytest.raises(StaleAsker):
            ask()


def test_asker_that_is_ahead_is_fresh(vault):
    ahead = ChainView(height=2_000, time_ns=NOW.time_ns + 600 * SECOND)
    assert KeyRelease(vault, COMPUTE).get_or_create_keys(PARATIME_ID, IDS[:1], 0, ahead)


def test_key_manager_that_is_far_behind_its_asker_releases_nothing(vault):
    ahead = ChainView(height=2_000, time_ns=NOW.time_ns + 600 * SECOND + 1)
    with pytest.raises(FreshnessUnproven):
        KeyRelease(vault, COMPUTE).get_or_create_keys(PARATIME_ID, IDS[:1], 0, ahead)


def test_nothing_is_released_before_this_start_is_proven_to_be_registered(vault):
    vault.is_fresh = False
    compute, heir = KeyRelease(vault, COMPUTE), KeyRelease(vault, HEIR)
    for ask in (
        lambda: compute.get_or_create_keys(PARATIME_ID, IDS, 0, FRESH),
        lambda: compute.get_or_create_ephemeral_keys(PARATIME_ID, IDS, 12, FRESH),
        lambda: compute.get_public_ephemeral_key(PARATIME_ID, IDS[0], 12),
        lambda: heir.replicate_master_secret(0, FRESH),
        lambda: heir.replicate_ephemeral_secret(12, FRESH),
        lambda: vault.public_key(PARATIME_ID, IDS[0]),
        lambda: vault.ephemeral_public_key(PARATIME_ID, IDS[0], 12),
    ):
        with pytest.raises(FreshnessUnproven):
            ask()


def test_epochs_before_the_window_are_refused_even_if_held(vault):
    with pytest.raises(EpochOutOfReach):
        KeyRelease(vault, COMPUTE).get_or_create_ephemeral_keys(PARATIME_ID, IDS, 1, FRESH)


def test_epoch_that_this_node_has_not_reached_is_unavailable_not_refused(vault):
    with pytest.raises(EphemeralSecretMissing):
        KeyRelease(vault, COMPUTE).get_or_create_ephemeral_keys(PARATIME_ID, IDS, 14, FRESH)


def test_epoch_that_is_not_held_is_unavailable(vault):
    with pytest.raises(EphemeralSecretMissing):
        KeyRelease(vault, COMPUTE).get_or_create_ephemeral_keys(PARATIME_ID, IDS, 10, FRESH)


def test_generation_that_does_not_exist_is_unavailable(vault):
    with pytest.raises(MasterSecretMissing):
        KeyRelease(vault, COMPUTE).get_or_create_keys(PARATIME_ID, IDS, 2, FRESH)


def test_request_for_too_many_pairs_is_refused(vault):
    with pytest.raises(TooManyKeyPairs):
        KeyRelease(vault, COMPUTE).get_or_create_keys(
            PARATIME_ID, (b"1" * 32,) * (MAX_KEY_PAIRS + 1), 0, FRESH
        )


@pytest.mark.parametrize("peer", [KEY_MANAGER, HEIR], ids=["same code", "heir"])
def test_secrets_go_to_the_same_code_and_to_heirs(vault, peer):
    release = KeyRelease(vault, peer)
    assert release.replicate_master_secret(1, FRESH).secret == b"\x02" * 32
    assert release.replicate_ephemeral_secret(1, FRESH).secret == (1).to_bytes(32, "big")


@pytest.mark.parametrize("peer", [COMPUTE, STRANGER], ids=["compute", "stranger"])
def test_secrets_go_to_nobody_else(vault, peer):
    release = KeyRelease(vault, peer)
    with pytest.raises(ReplicationForbidden):
        release.replicate_master_secret(0, FRESH)
    with pytest.raises(ReplicationForbidden):
        release.replicate_ephemeral_secret(12, FRESH)


def test_without_a_verified_policy_nobody_gets_anything(vault):
    bare = Vault(KEY_MANAGER_ID, vault.master, vault.ephemeral)
    bare.position = NOW
    for ask in (
        lambda: KeyRelease(bare, COMPUTE).get_or_create_keys(PARATIME_ID, IDS, 0, FRESH),
        lambda: KeyRelease(bare, KEY_MANAGER).replicate_master_secret(0, FRESH),
    ):
        with pytest.raises(PolicyMissing):
            ask()


def test_anybody_gets_public_keys_signed_by_the_newest_rsk(vault):
    signed = KeyRelease(vault, STRANGER).get_public_ephemeral_key(PARATIME_ID, IDS[0], 12)
    assert signed.key == vault.ephemeral_keys(PARATIME_ID, IDS[0], 12).public_key
    verify_public_key(
        signed,
        rsk=vault.master.newest().signer.public_key,
        runtime_id=PARATIME_ID,
        key_pair_id=IDS[0],
        epoch=12,
        now_epoch=12,
    )


class TestAnswers:
    def ask(self, vault, plaintext):
        return answer_request(KeyRelease(vault, COMPUTE), plaintext)

    def test_request_is_answered_with_the_record(self, vault):
        question = encode_key_request(
            "get_or_create_keys",
            runtime_id=PARATIME_ID,
            key_pair_ids=IDS,
            generation=0,
            view=FRESH,
        )
        pairs = decode_key_answer("get_or_create_keys", self.ask(vault, question))
        assert pairs == tuple(vault.long_term_keys(PARATIME_ID, id_, 0) for id_ in IDS)

    def test_refusal_is_raised_as_the_same_class(self, vault):
        question = encode_key_request("replicate_master_secret", generation=0, view=FRESH)
        with pytest.raises(ReplicationForbidden):
            decode_key_answer("replicate_master_secret", self.ask(vault, question))

    @pytest.mark.parametrize(
        ("plaintext", "error"),
        [
            (b"", frames.MalformedFrame),
            (b"\xff" * 10, frames.MalformedFrame),
            (frames.encode_frame(frames.Cancel(1))[4:], BadRequest),
            (frames.encode_frame(frames.Request(1, "forget", b"\xa0"))[4:], MethodNotFound),
            (frames.encode_frame(frames.Request(1, "get_or_create_keys", b"\xa0"))[4:], BadRequest),
        ],
    )
    def test_bad_request_is_refused_not_fatal(self, vault, plaintext, error):
        with pytest.raises(error):
            decode_key_answer("get_or_create_keys", self.ask(vault, plaintext))
