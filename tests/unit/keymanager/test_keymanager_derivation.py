import pytest

from services.keymanager.enclave.derivation import (
    checksum_ephemeral_secret,
    checksum_master_secret,
    derive_ephemeral_keys,
    derive_long_term_keys,
    derive_signing_key,
    sign_public_key,
)
from shared.crypto.secret import SecretBytes
from shared.crypto.signing import BadSignature
from shared.rules.key_policy import PublicKeyExpired, verify_public_key
from tests.support.keymanager import KEY_MANAGER_ID, OTHER_PARATIME_ID, PARATIME_ID

SECRET = SecretBytes(b"m" * 32)
PAIR_ID = b"i" * 32


def test_keys_of_one_paratime_are_not_those_of_another():
    one = derive_long_term_keys(SECRET, PARATIME_ID, PAIR_ID)
    other = derive_long_term_keys(SECRET, OTHER_PARATIME_ID, PAIR_ID)
    assert not {one.state_key, one.secret_key} & {other.state_key, other.secret_key}


def test_long_term_and_ephemeral_keys_of_one_secret_differ():
    long_term = derive_long_term_keys(SECRET, PARATIME_ID, PAIR_ID)
    ephemeral = derive_ephemeral_keys(SECRET, PARATIME_ID, PAIR_ID, 0)
    assert long_term.state_key != ephemeral.state_key
    assert long_term.secret_key != ephemeral.secret_key


def test_keys_of_one_epoch_are_not_those_of_the_next():
    pairs = [derive_ephemeral_keys(SECRET, PARATIME_ID, PAIR_ID, epoch) for epoch in (7, 8)]
    assert pairs[0].secret_key != pairs[1].secret_key


def test_key_pair_does_not_show_its_secrets():
    pair = derive_long_term_keys(SECRET, PARATIME_ID, PAIR_ID)
    shown = repr(pair)
    assert repr(pair.secret_key) not in shown
    assert repr(pair.state_key) not in shown


def test_master_checksum_depends_on_every_generation_before():
    first = checksum_master_secret(SecretBytes(b"a" * 32), KEY_MANAGER_ID)
    other = checksum_master_secret(SecretBytes(b"b" * 32), KEY_MANAGER_ID)
    last = SecretBytes(b"c" * 32)
    assert checksum_master_secret(last, first) != checksum_master_secret(last, other)


def test_ephemeral_checksum_binds_runtime_and_epoch():
    sums = {
        checksum_ephemeral_secret(SECRET, KEY_MANAGER_ID, 5),
        checksum_ephemeral_secret(SECRET, KEY_MANAGER_ID, 6),
        checksum_ephemeral_secret(SECRET, PARATIME_ID, 5),
    }
    assert len(sums) == 3


class TestSignedPublicKey:
    rsk = derive_signing_key(SECRET, KEY_MANAGER_ID)

    def sign(self, epoch):
        return sign_public_key(
            self.rsk,
            b"k" * 32,
            checksum=b"c" * 32,
            runtime_id=PARATIME_ID,
            key_pair_id=PAIR_ID,
            epoch=epoch,
        )

    def verify(self, signed, **changes):
        asked = {
            "rsk": self.rsk.public_key,
            "runtime_id": PARATIME_ID,
            "key_pair_id": PAIR_ID,
            "epoch": 10,
            "now_epoch": 10,
        }
        verify_public_key(signed, **(asked | changes))

    def test_signature_of_an_ephemeral_key_verifies_until_it_expires(self):
        signed = self.sign(10)
        assert signed.expiration == 20
        self.verify(signed, now_epoch=20)
        with pytest.raises(PublicKeyExpired):
            self.verify(signed, now_epoch=21)

    def test_signature_of_a_long_term_key_never_expires(self):
        signed = self.sign(None)
        assert signed.expiration is None
        self.verify(signed, epoch=None, now_epoch=10**6)

    @pytest.mark.parametrize(
        "change",
        [
            {"epoch": 11},
            {"epoch": None},
            {"runtime_id": OTHER_PARATIME_ID},
            {"key_pair_id": b"j" * 32},
            {"rsk": derive_signing_key(SecretBytes(b"x" * 32), KEY_MANAGER_ID).public_key},
        ],
        ids=lambda change: next(iter(change)),
    )
    def test_signature_is_bound_to_everything_it_is_for(self, change):
        with pytest.raises(BadSignature):
            self.verify(self.sign(10), **change)
