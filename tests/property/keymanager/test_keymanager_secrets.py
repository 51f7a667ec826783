"""State machines of the secrets against models, and the envelope of key requests."""

import nacl.bindings
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.keymanager.enclave.derivation import checksum_ephemeral_secret, checksum_master_secret
from services.keymanager.enclave.ephemeral import KEPT_EPOCHS, EphemeralSecrets
from services.keymanager.enclave.master import MasterSecrets
from services.keymanager.enclave.publication import (
    CannotOpenSecret,
    associated_data,
    decrypt_secret,
    encrypt_secret,
)
from services.keymanager.enclave.release import KeyRelease, answer_request
from services.keymanager.enclave.vault import Vault
from shared.crypto.entropy import SeededEntropy
from shared.crypto.secret import SecretBytes
from shared.encoding import frames
from shared.types.key_requests import MasterSecretMissing
from shared.types.keymanager import EncryptedSecret, PublishedSecret
from tests.support.keymanager import COMPUTE, KEY_MANAGER_ID, MemoryFiles, make_sealer
from tests.support.short_run import examples

SECRETS = st.binary(min_size=32, max_size=32).map(SecretBytes)


class MasterMachine(RuleBasedStateMachine):
    """One node: proposals, rotations, rewinds, restarts and lost files, in any order."""

    def __init__(self):
        super().__init__()
        self.files = MemoryFiles()
        self.master = MasterSecrets(KEY_MANAGER_ID, make_sealer(), self.files)
        self.accepted: list[SecretBytes] = []
        self.proposed: SecretBytes | None = None

    def checksum(self, secrets) -> bytes:
        checksum = KEY_MANAGER_ID
        for secret in secrets:
            checksum = checksum_master_secret(secret, checksum)
        return checksum

    @precondition(lambda self: self.master.generations == len(self.accepted))
    @rule(secret=SECRETS)
    def propose(self, secret):
        generation = len(self.accepted)
        self.master.propose(secret, generation, self.checksum([*self.accepted, secret]))
        self.proposed = secret

    @precondition(lambda self: self.proposed is not None)
    @rule()
    def accept(self):
        self.accepted.append(self.proposed)
        self.proposed = None
        self.follow()

    @precondition(lambda self: self.accepted)
    @rule()
    def rewind(self):
        self.accepted.pop()
        self.proposed = None
        self.master.drop_proposal()
        if self.accepted:
            self.follow()
        else:
            self.master.forget()

    @rule()
    def restart(self):
        self.master = MasterSecrets(KEY_MANAGER_ID, make_sealer(), self.files)
        if self.accepted:
            self.follow()
        if self.proposed is not None:
            checksum = self.checksum([*self.accepted, self.proposed])
            self.master.recover_proposal(len(self.accepted), checksum)
            assert self.master.proposal.link.secret == self.proposed

    @precondition(lambda self: self.accepted)
    @rule()
    def lose_the_disk_and_replicate(self):
        self.files.blobs.clear()
        self.proposed = None
        self.master = MasterSecrets(KEY_MANAGER_ID, make_sealer(), self.files)
        with pytest.raises(MasterSecretMissing):
            self.follow()
        self.master.adopt(tuple(self.accepted), self.checksum(self.accepted))

    def follow(self):
        self.master.follow(len(self.accepted) - 1, self.checksum(self.accepted))

    @invariant()
    def holds_exactly_what_consensus_accepted(self):
        assert self.master.generations == len(self.accepted)
        for generation, secret in enumerate(self.accepted):
            assert self.master.secret(generation) == secret
        expected = self.checksum(self.accepted) if self.accepted else b""
        assert self.master.checksum == expected


TestMasterMachine = MasterMachine.TestCase
TestMasterMachine.settings = settings(
    max_examples=examples(40), stateful_step_count=25, deadline=None
)


@given(st.lists(st.integers(0, 60), max_size=80))
def test_the_newest_epochs_are_kept_whatever_the_order(epochs):
    secrets = EphemeralSecrets(KEY_MANAGER_ID)
    model: set[int] = set()
    for epoch in epochs:
        secret = SecretBytes(bytes([epoch]) * 32)
        checksum = checksum_ephemeral_secret(secret, KEY_MANAGER_ID, epoch)
        secrets.add(epoch, secret, checksum)
        model = set(sorted(model | {epoch})[-KEPT_EPOCHS:])
    assert secrets.epochs() == tuple(sorted(model))


PRIVATE = b"\x05" * 32
REK = nacl.bindings.crypto_scalarmult_base(PRIVATE)


def open_published(published):
    return decrypt_secret(
        published,
        reks=(REK,),
        exchange=lambda _, key: nacl.bindings.crypto_scalarmult(PRIVATE, key),
    )


@given(
    secret=SECRETS,
    epoch=st.integers(0, 2**64 - 1),
    generation=st.none() | st.integers(0, 2**64 - 1),
    flip=st.integers(0, 8 * 72 - 1),
)
def test_published_secret_opens_unless_a_bit_is_flipped(secret, epoch, generation, flip):
    encrypted = encrypt_secret(
        secret,
        checksum=bytes(32),
        bound_to=associated_data(KEY_MANAGER_ID, epoch, generation),
        reks=[REK],
        entropy=SeededEntropy(b"chance of a property test.......".ljust(32)),
    )
    assert open_published(PublishedSecret(KEY_MANAGER_ID, epoch, encrypted, generation)) == secret
    blob = bytearray(encrypted.ciphertexts[REK])
    blob[flip // 8] ^= 1 << flip % 8
    spoiled = EncryptedSecret(encrypted.checksum, encrypted.pub_key, {REK: bytes(blob)})
    with pytest.raises(CannotOpenSecret):
        open_published(PublishedSecret(KEY_MANAGER_ID, epoch, spoiled, generation))


@given(st.binary(max_size=200))
def test_no_plaintext_of_a_session_message_brings_the_enclave_down(plaintext):
    master = MasterSecrets(KEY_MANAGER_ID, make_sealer(), MemoryFiles())
    vault = Vault(KEY_MANAGER_ID, master, EphemeralSecrets(KEY_MANAGER_ID))
    answer = frames.decode_payload(answer_request(KeyRelease(vault, COMPUTE), plaintext))
    assert isinstance(answer, frames.Failure)
