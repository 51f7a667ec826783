"""Parts of a key manager's enclave for tests: a platform, files in memory, signed policies."""

from shared.crypto.entropy import SeededEntropy
from shared.crypto.signing import Signer
from shared.encoding.record import encode_record
from shared.tee.platform import derive_seal_key
from shared.tee.sealing import Sealer
from shared.types.attestation import EnclaveIdentity
from shared.types.keymanager import POLICY, EnclavePolicy, Policy, SignedPolicy

KEY_MANAGER_ID = bytes([0xC0]) + bytes(30) + b"\x01"
PARATIME_ID = bytes([0x80]) + bytes(30) + b"\x02"
OTHER_PARATIME_ID = bytes([0x80]) + bytes(30) + b"\x03"
SIGNERS = tuple(Signer(bytes([number]) * 32) for number in (1, 2, 3))
SIGNER_KEYS = tuple(signer.public_key for signer in SIGNERS)


def identity(name: str) -> EnclaveIdentity:
    return EnclaveIdentity(name.encode().ljust(32, b"."), b"S" * 32)


KEY_MANAGER = identity("key manager")
COMPUTE = identity("compute")
HEIR = identity("newer key manager")
STRANGER = identity("stranger")


class MemoryFiles:
    """Blobs in memory; what `files.Files` asks for."""

    def __init__(self, blobs=None):
        self.blobs = dict(blobs or {})

    def load(self, name):
        return self.blobs.get(name)

    def save(self, name, blob):
        self.blobs[name] = blob

    def delete(self, name):
        self.blobs.pop(name, None)


class MemoryPlatform:
    """Seal keys of one platform for one measurement."""

    def __init__(self, secret=b"P" * 32, mr_enclave=KEY_MANAGER.mr_enclave):
        self._secret, self._mr_enclave = secret, mr_enclave

    def seal_key(self, key_id):
        return derive_seal_key(self._secret, self._mr_enclave, key_id)


def make_sealer(**platform) -> Sealer:
    return Sealer(MemoryPlatform(**platform), SeededEntropy(b"seal chance for tests of qanat.."))


def make_policy(serial=1, *, id_=KEY_MANAGER_ID, enclaves=None, **fields) -> Policy:
    if enclaves is None:
        enclaves = (EnclavePolicy(KEY_MANAGER, {PARATIME_ID: (COMPUTE,)}, (HEIR,)),)
    return Policy(serial=serial, id=id_, enclaves=enclaves, **fields)


def sign_policy(policy: Policy, *signers: Signer) -> SignedPolicy:
    raw = encode_record(policy)
    signatures = tuple(signer.endorse(POLICY.anywhere(), raw) for signer in signers or SIGNERS[:2])
    return SignedPolicy(raw, signatures)
