import nacl.bindings
import pytest

from services.keymanager.enclave.publication import (
    CannotOpenSecret,
    associated_data,
    decrypt_secret,
    encrypt_secret,
)
from shared.crypto.entropy import SeededEntropy
from shared.crypto.secret import SecretBytes
from shared.types.keymanager import EncryptedSecret, PublishedSecret
from tests.support.keymanager import KEY_MANAGER_ID, PARATIME_ID

SECRET = SecretBytes(b"s" * 32)
PRIVATE = [bytes([number]) * 32 for number in (1, 2, 3)]
REKS = [nacl.bindings.crypto_scalarmult_base(key) for key in PRIVATE]


def publish(epoch=5, generation=None, reks=tuple(REKS[:2])) -> PublishedSecret:
    encrypted = encrypt_secret(
        SECRET,
        checksum=b"c" * 32,
        bound_to=associated_data(KEY_MANAGER_ID, epoch, generation),
        reks=reks,
        entropy=SeededEntropy(b"chance for the tests of boxes..."),
    )
    return PublishedSecret(KEY_MANAGER_ID, epoch, encrypted, generation)


def open_as(member: int, published: PublishedSecret) -> SecretBytes | None:
    return decrypt_secret(
        published,
        reks=(REKS[member],),
        exchange=lambda _, key: nacl.bindings.crypto_scalarmult(PRIVATE[member], key),
    )


@pytest.mark.parametrize("generation", [None, 0, 3])
def test_every_member_opens_its_own_ciphertext(generation):
    published = publish(generation=generation)
    assert open_as(0, published) == open_as(1, published) == SECRET


def test_who_is_no_member_finds_nothing_to_open():
    assert open_as(2, publish()) is None


def test_ciphertext_of_another_member_does_not_open():
    published = publish()
    swapped = EncryptedSecret(
        published.secret.checksum,
        published.secret.pub_key,
        {REKS[2]: published.secret.ciphertexts[REKS[0]]},
    )
    with pytest.raises(CannotOpenSecret):
        open_as(2, PublishedSecret(KEY_MANAGER_ID, 5, swapped))


@pytest.mark.parametrize(
    "moved",
    [
        {"epoch": 6},
        {"runtime_id": PARATIME_ID},
        {"generation": 0},
    ],
    ids=lambda moved: next(iter(moved)),
)
def test_ciphertext_is_bound_to_what_it_is_for(moved):
    published = publish()
    fields = {"runtime_id": KEY_MANAGER_ID, "epoch": 5, "secret": published.secret}
    with pytest.raises(CannotOpenSecret):
        open_as(0, PublishedSecret(**(fields | moved)))


@pytest.mark.parametrize("length", [0, 5, 23, 24, 39, 40, 71])
def test_short_ciphertext_is_refused(length):
    published = publish()
    cut = {REKS[0]: published.secret.ciphertexts[REKS[0]][:length]}
    encrypted = EncryptedSecret(b"c" * 32, published.secret.pub_key, cut)
    with pytest.raises(CannotOpenSecret):
        open_as(0, PublishedSecret(KEY_MANAGER_ID, 5, encrypted))


def test_ciphertexts_do_not_show_the_secret():
    published = publish()
    assert all(SECRET.reveal() not in blob for blob in published.secret.ciphertexts.values())
