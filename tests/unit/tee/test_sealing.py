"""Who can open what was sealed."""

import pytest

from shared.crypto.entropy import SystemEntropy
from shared.tee.sealing import CannotUnseal, Sealer
from tests.support import mock_tee
from tests.support.mock_tee import OTHER_ENCLAVE, mock_cpu


def sealer(cpu=None, entropy=None) -> Sealer:
    return Sealer(cpu or mock_cpu(), entropy or SystemEntropy())


@pytest.mark.parametrize("plaintext", [b"", b"secret", bytes(100_000)])
def test_sealed_opens_again(plaintext):
    sealed = sealer().seal(b"use", plaintext, b"7")
    assert sealer().unseal(b"use", sealed, b"7") == plaintext


def test_other_platform_cannot_open():
    sealed = sealer().seal(b"use", b"secret")
    with pytest.raises(CannotUnseal):
        sealer(mock_cpu(of=mock_tee.platform("node-1"))).unseal(b"use", sealed)


def test_other_measurement_cannot_open():
    sealed = sealer().seal(b"use", b"secret")
    with pytest.raises(CannotUnseal):
        sealer(mock_cpu(OTHER_ENCLAVE)).unseal(b"use", sealed)


def test_other_use_or_associated_data_cannot_open():
    sealed = sealer().seal(b"use", b"secret", b"7")
    with pytest.raises(CannotUnseal):
        sealer().unseal(b"another use", sealed, b"7")
    with pytest.raises(CannotUnseal):
        sealer().unseal(b"use", sealed, b"8")


@pytest.mark.parametrize("length", [0, 1, 39, 40])
def test_cut_blob_does_not_open(length):
    with pytest.raises(CannotUnseal):
        sealer().unseal(b"use", sealer().seal(b"use", b"secret")[:length])


def test_every_changed_byte_is_noticed():
    sealed = sealer().seal(b"use", b"secret")
    for index in range(len(sealed)):
        damaged = bytearray(sealed)
        damaged[index] ^= 0x40
        with pytest.raises(CannotUnseal):
            sealer().unseal(b"use", bytes(damaged))


def test_repeated_chance_gives_no_nonce_to_two_messages():
    blobs = [sealer(entropy=mock_tee.entropy()).seal(b"use", text) for text in (b"a", b"b", b"a")]
    assert blobs[0][:24] != blobs[1][:24]
    assert blobs[0] == blobs[2]


def test_equal_plaintexts_are_not_seen_to_be_equal():
    one = sealer()
    assert one.seal(b"use", b"secret") != one.seal(b"use", b"secret")
