import pytest

from services.keymanager.enclave.master import (
    PROPOSAL_FILE,
    MasterSecretDisagrees,
    MasterSecrets,
    WrongGeneration,
)
from shared.crypto.secret import SecretBytes
from shared.types.key_requests import MasterSecretMissing
from tests.support.keymanager import KEY_MANAGER_ID, MemoryFiles, identity, make_sealer

SECRETS = tuple(SecretBytes(bytes([number]) * 32) for number in range(10, 14))


def make(files=None, **platform) -> MasterSecrets:
    return MasterSecrets(KEY_MANAGER_ID, make_sealer(**platform), files or MemoryFiles())


def grow(master: MasterSecrets, count: int) -> bytes:
    """Rotate through generations as consensus would; give the last checksum."""
    for generation in range(count):
        checksum = master.next_checksum(SECRETS[generation], generation)
        master.propose(SECRETS[generation], generation, checksum)
        master.follow(generation, checksum)
    return master.checksum


def test_there_is_nothing_before_the_first_generation():
    master = make()
    assert master.checksum == b""
    with pytest.raises(MasterSecretMissing):
        master.newest()


def test_accepted_proposal_becomes_the_generation():
    master = make()
    checksum = master.next_checksum(SECRETS[0], 0)
    master.propose(SECRETS[0], 0, checksum)
    promised = master.proposal_signer()
    assert master.generations == 0
    master.follow(0, checksum)
    assert master.secret(0) == SECRETS[0]
    assert master.newest().signer.public_key == promised.public_key
    assert master.proposal is None


def test_proposal_that_consensus_did_not_accept_is_never_used():
    master = make()
    checksum = grow(master, 1)
    master.propose(SECRETS[1], 1, master.next_checksum(SECRETS[1], 1))
    master.follow(0, checksum)
    with pytest.raises(MasterSecretMissing):
        master.secret(1)
    master.drop_proposal()
    with pytest.raises(MasterSecretMissing):
        master.follow(1, b"?" * 32)


def test_old_generations_stay_readable_after_rotation():
    master = make()
    grow(master, 3)
    assert [master.secret(generation) for generation in range(3)] == list(SECRETS[:3])


def test_sealed_generations_survive_a_restart():
    files = MemoryFiles()
    checksum = grow(make(files), 3)
    restarted = make(files)
    restarted.follow(2, checksum)
    assert restarted.secret(1) == SECRETS[1]


def test_sealed_proposal_survives_a_restart_and_is_accepted_then():
    files = MemoryFiles()
    master = make(files)
    grow(master, 1)
    checksum = master.next_checksum(SECRETS[1], 1)
    master.propose(SECRETS[1], 1, checksum)
    restarted = make(files)
    restarted.follow(1, checksum)
    assert restarted.secret(1) == SECRETS[1]
    assert PROPOSAL_FILE not in files.blobs


def test_sealed_proposal_is_taken_up_after_a_restart_while_it_is_open():
    files = MemoryFiles()
    master = make(files)
    checksum = grow(master, 1)
    proposed = master.next_checksum(SECRETS[1], 1)
    master.propose(SECRETS[1], 1, proposed)
    restarted = make(files)
    restarted.follow(0, checksum)
    restarted.recover_proposal(1, b"?" * 32)
    assert restarted.proposal is None
    restarted.recover_proposal(1, proposed)
    assert restarted.proposal.link.checksum == proposed


@pytest.mark.parametrize(
    "platform",
    [{"secret": b"Q" * 32}, {"mr_enclave": identity("new key manager").mr_enclave}],
    ids=["another platform", "another measurement"],
)
def test_sealed_secret_opens_nowhere_else(platform):
    files = MemoryFiles()
    checksum = grow(make(files), 1)
    elsewhere = make(files, **platform)
    with pytest.raises(MasterSecretMissing):
        elsewhere.follow(0, checksum)


def test_blob_of_an_older_chain_is_noticed():
    # The same platform took part in another network of the same id: a host swaps the directories.
    files = MemoryFiles()
    other = make(files)
    other.propose(SECRETS[3], 0, other.next_checksum(SECRETS[3], 0))
    other.follow(0, other.proposal.link.checksum)
    master = make(MemoryFiles(files.blobs))
    with pytest.raises(MasterSecretMissing):
        master.follow(0, grow(make(), 1))


def test_blob_under_the_name_of_another_generation_is_noticed():
    files = MemoryFiles()
    checksum = grow(make(files), 2)
    files.blobs["master-1.sealed"] = files.blobs["master-0.sealed"]
    with pytest.raises(MasterSecretMissing):
        make(files).follow(1, checksum)


def test_proposal_blob_is_no_master_secret():
    files = MemoryFiles()
    master = make(files)
    checksum = master.next_checksum(SECRETS[0], 0)
    master.propose(SECRETS[0], 0, checksum)
    files.blobs["master-0.sealed"] = files.blobs.pop(PROPOSAL_FILE)
    with pytest.raises(MasterSecretMissing):
        make(files).follow(0, checksum)


def test_corrupted_blob_is_missing_not_fatal():
    files = MemoryFiles()
    checksum = grow(make(files), 1)
    blob = bytearray(files.blobs["master-0.sealed"])
    blob[30] ^= 1
    files.blobs["master-0.sealed"] = bytes(blob)
    master = make(files)
    with pytest.raises(MasterSecretMissing):
        master.follow(0, checksum)
    master.adopt(SECRETS[:1], checksum)
    assert make(files).follow(0, checksum) is None


def test_replicated_chain_must_give_the_checksum_of_consensus():
    checksum = grow(make(), 2)
    files = MemoryFiles()
    newcomer = make(files)
    for wrong in ((SECRETS[0],), (SECRETS[1], SECRETS[0]), (SECRETS[0], SECRETS[2]), ()):
        with pytest.raises(MasterSecretDisagrees):
            newcomer.adopt(wrong, checksum)
    assert files.blobs == {}
    newcomer.adopt(SECRETS[:2], checksum)
    assert newcomer.secret(1) == SECRETS[1]


def test_proposal_for_a_generation_that_is_not_next_is_refused():
    master = make()
    grow(master, 1)
    for generation in (0, 2):
        with pytest.raises(WrongGeneration):
            master.propose(SECRETS[1], generation, b"?" * 32)


def test_proposal_that_does_not_extend_the_chain_is_refused():
    master = make()
    grow(master, 1)
    with pytest.raises(MasterSecretDisagrees):
        master.propose(SECRETS[1], 1, make().next_checksum(SECRETS[1], 0))


def test_rewound_chain_takes_another_way():
    files = MemoryFiles()
    master = make(files)
    first = grow(master, 1)
    grow_on = master.next_checksum(SECRETS[1], 1)
    master.propose(SECRETS[1], 1, grow_on)
    master.follow(1, grow_on)
    master.follow(0, first)
    other = master.next_checksum(SECRETS[2], 1)
    master.propose(SECRETS[2], 1, other)
    master.follow(1, other)
    assert master.secret(1) == SECRETS[2]
    assert make(files).follow(1, other) is None


def test_files_hold_no_secret_in_the_clear():
    files = MemoryFiles()
    master = make(files)
    grow(master, 1)
    master.propose(SECRETS[1], 1, master.next_checksum(SECRETS[1], 1))
    for blob in files.blobs.values():
        assert SECRETS[0].reveal() not in blob
        assert SECRETS[1].reveal() not in blob
