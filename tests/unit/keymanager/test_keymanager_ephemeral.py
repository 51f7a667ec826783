import pytest

from services.keymanager.enclave.derivation import checksum_ephemeral_secret
from services.keymanager.enclave.ephemeral import (
    KEPT_EPOCHS,
    EphemeralSecretDisagrees,
    EphemeralSecrets,
    verify_epoch_in_reach,
)
from shared.crypto.secret import SecretBytes
from shared.types.key_requests import EphemeralSecretMissing, EpochOutOfReach
from tests.support.keymanager import KEY_MANAGER_ID


def secret_of(epoch: int) -> SecretBytes:
    return SecretBytes(epoch.to_bytes(32, "big"))


def add(secrets: EphemeralSecrets, epoch: int, secret: SecretBytes | None = None) -> bytes:
    secret = secret or secret_of(epoch)
    checksum = checksum_ephemeral_secret(secret, KEY_MANAGER_ID, epoch)
    secrets.add(epoch, secret, checksum)
    return checksum


def test_twenty_newest_epochs_are_kept():
    secrets = EphemeralSecrets(KEY_MANAGER_ID)
    for epoch in range(30):
        add(secrets, epoch)
    assert secrets.epochs() == tuple(range(30 - KEPT_EPOCHS, 30))
    with pytest.raises(EphemeralSecretMissing):
        secrets.get(9)


def test_secret_with_another_checksum_is_refused():
    secrets = EphemeralSecrets(KEY_MANAGER_ID)
    checksum = add(EphemeralSecrets(KEY_MANAGER_ID), 5)
    with pytest.raises(EphemeralSecretDisagrees):
        secrets.add(6, secret_of(5), checksum)
    assert secrets.epochs() == ()


def test_published_secret_replaces_that_of_an_abandoned_future():
    secrets = EphemeralSecrets(KEY_MANAGER_ID)
    old = add(secrets, 5)
    new = add(secrets, 5, SecretBytes(b"n" * 32))
    assert secrets.holds(5, new)
    assert not secrets.holds(5, old)


@pytest.mark.parametrize("epoch", [90, 95, 100, 101])
def test_epochs_within_the_age_and_the_next_are_in_reach(epoch):
    verify_epoch_in_reach(epoch, now_epoch=100, max_age=10)


@pytest.mark.parametrize("epoch", [0, 89])
def test_older_epochs_are_out_of_reach_for_good(epoch):
    with pytest.raises(EpochOutOfReach):
        verify_epoch_in_reach(epoch, now_epoch=100, max_age=10)


def test_later_epoch_may_come_on_a_node_that_is_behind():
    with pytest.raises(EphemeralSecretMissing):
        verify_epoch_in_reach(102, now_epoch=100, max_age=10)
