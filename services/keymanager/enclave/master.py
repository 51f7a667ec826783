"""
Master secrets: one for each generation, sealed on disk, tied together by checksums.

Consensus holds the checksum of the newest generation, which fixes all of them; nothing is used
before the whole chain gives that checksum. So an old, foreign or damaged blob is noticed, whoever
put it there. A proposal is the secret of the generation after; it is sealed under a context of its
own, and becomes a generation only when consensus says so.
"""

from dataclasses import dataclass

from services.keymanager.enclave.derivation import (
    SECRET_BYTES,
    checksum_master_secret,
    derive_signing_key,
)
from services.keymanager.enclave.files import Files
from shared.crypto.secret import SecretBytes
from shared.crypto.signing import Signer
from shared.errors import Rejected
from shared.tee.sealing import CannotUnseal, Sealer
from shared.types.key_requests import MasterSecretMissing

MASTER_SEAL = b"oasis-core/keymanager: master secret seal"
PROPOSAL_SEAL = b"oasis-core/keymanager: master secret proposal seal"
PROPOSAL_FILE = "master-proposal.sealed"


class MasterSecretDisagrees(Rejected, module="keys", code=11):
    """The secrets at hand are not those whose checksum consensus holds."""


class WrongGeneration(Rejected, module="keys", code=12):
    """The generation is not the one that may come now, or does not exist yet."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One link of the chain."""

    secret: SecretBytes
    checksum: bytes


@dataclass(frozen=True, slots=True)
class Proposal:
    """The secret that may become the next generation."""

    generation: int
    link: Generation


@dataclass(frozen=True, slots=True)
class NewestGeneration:
    """What vouches for public keys."""

    signer: Signer
    checksum: bytes


class MasterSecrets:
    """The chain of generations that consensus knows, and the proposal for the next."""

    def __init__(self, runtime_id: bytes, sealer: Sealer, files: Files) -> None:
        self._runtime_id, self._sealer, self._files = runtime_id, sealer, files
        self._chain: tuple[Generation, ...] = ()
        self._newest: NewestGeneration | None = None
        self.proposal: Proposal | None = None

    @property
    def checksum(self) -> bytes:
        """Checksum of the newest generation; empty where there is none."""
        return self._chain[-1].checksum if self._chain else b""

    @property
    def generations(self) -> int:
        """How many generations are held; the newest is one less."""
        return len(self._chain)

    def newest(self) -> NewestGeneration:
        """Give the RSK and the checksum that go together, or raise `MasterSecretMissing`."""
        newest = self._newest
        if newest is None:
            raise MasterSecretMissing("the key manager has no master secret yet")
        return newest

    def secret(self, generation: int) -> SecretBytes:
        """Give the secret of a generation, or raise `MasterSecretMissing`."""
        return self.link(generation).secret

    def link(self, generation: int) -> Generation:
        """Give secret and checksum of a generation, or raise `MasterSecretMissing`."""
        if not 0 <= generation < len(self._chain):
            raise MasterSecretMissing(f"there is no master secret of generation {generation}")
        return self._chain[generation]

    # -- following consensus -------------------------------------------------------------------

    def follow(self, generation: int, checksum: bytes) -> None:
        """
        Hold the chain that ends in this generation with this checksum.

        Tries what is in memory, then the proposal, then the disk.

        Raises
        ------
        MasterSecretMissing
            The disk does not have it; another key manager may.
        """
        if _ends_in(self._chain, generation, checksum):
            return
        if self._recover(self._chain, generation, checksum):
            return
        if self._recover(self._unsealed(generation), generation, checksum):
            return
        self.forget()
        raise MasterSecretMissing(
            f"generation {generation} with checksum {checksum.hex()} is not on this node"
        )

    def forget(self) -> None:
        """Hold no generation: consensus knows none, or none that we have. The disk stays."""
        self._use(())

    def _recover(self, chain: tuple[Generation, ...], generation: int, checksum: bytes) -> bool:
        if _ends_in(chain[: generation + 1], generation, checksum):
            self._use(chain[: generation + 1])
            return True
        return self._accept_proposal(chain[:generation], generation, checksum)

    def _accept_proposal(
        self, chain: tuple[Generation, ...], generation: int, checksum: bytes
    ) -> bool:
        proposal = self.proposal or self._unsealed_proposal(generation, chain)
        if proposal is None or not len(chain) == generation == proposal.generation:
            return False
        if proposal.link.checksum != checksum:
            return False
        self._seal(generation, proposal.link.secret, self._last_checksum(chain))
        self._use((*chain, proposal.link))
        self.drop_proposal()
        return True

    def adopt(self, secrets: tuple[SecretBytes, ...], checksum: bytes) -> None:
        """
        Take over the secrets of all generations from another key manager, and seal them.

        Raises
        ------
        MasterSecretDisagrees
            They do not give the checksum that consensus holds; nothing is kept.
        """
        chain: tuple[Generation, ...] = ()
        for secret in secrets:
            chain = (*chain, self._link(secret, self._last_checksum(chain)))
        if not chain or chain[-1].checksum != checksum:
            raise MasterSecretDisagrees(f"the secrets do not give checksum {checksum.hex()}")
        for generation, link in enumerate(chain):
            self._seal(generation, link.secret, self._last_checksum(chain[:generation]))
        self._use(chain)

    def _use(self, chain: tuple[Generation, ...]) -> None:
        self._chain, self._newest = chain, None
        if chain:
            signer = derive_signing_key(chain[-1].secret, self._runtime_id)
            self._newest = NewestGeneration(signer, chain[-1].checksum)

    def _link(self, secret: SecretBytes, previous: bytes) -> Generation:
        return Generation(secret, checksum_master_secret(secret, previous))

    def _last_checksum(self, chain: tuple[Generation, ...]) -> bytes:
        return chain[-1].checksum if chain else self._runtime_id

    # -- the proposal --------------------------------------------------------------------------

    def next_checksum(self, secret: SecretBytes, generation: int) -> bytes:
        """Checksum that a secret would have as the next generation."""
        self._verify_next(generation)
        return checksum_master_secret(secret, self._last_checksum(self._chain))

    def propose(self, secret: SecretBytes, generation: int, checksum: bytes) -> None:
        """
        Keep a published secret as proposal for the next generation, sealed.

        Raises
        ------
        WrongGeneration, MasterSecretDisagrees
            It is for another generation, or its checksum does not follow from ours.
        """
        if self.next_checksum(secret, generation) != checksum:
            raise MasterSecretDisagrees("the proposal does not extend our checksum chain")
        blob = secret.reveal() + self._last_checksum(self._chain)
        sealed = self._sealer.seal(PROPOSAL_SEAL, blob, self._associated(generation))
        self._files.save(PROPOSAL_FILE, sealed)
        self.proposal = Proposal(generation, Generation(secret, checksum))

    def recover_proposal(self, generation: int, checksum: bytes) -> None:
        """After a restart, take up the sealed proposal if it is the one that is published."""
        if generation != self.generations:
            return
        proposal = self._unsealed_proposal(generation, self._chain)
        if proposal is not None and proposal.link.checksum == checksum:
            self.proposal = proposal

    def drop_proposal(self) -> None:
        """Forget the proposal: it was accepted, or its epoch is over."""
        self.proposal = None
        self._files.delete(PROPOSAL_FILE)

    def proposal_signer(self) -> Signer | None:
        """Give the RSK as it would be with the proposal accepted."""
        if self.proposal is None:
            return None
        return derive_signing_key(self.proposal.link.secret, self._runtime_id)

    def _verify_next(self, generation: int) -> None:
        if generation != self.generations:
            raise WrongGeneration(f"generation {generation}; {self.generations} comes next")

    # -- the disk ------------------------------------------------------------------------------

    def _associated(self, generation: int) -> bytes:
        return self._runtime_id + generation.to_bytes(8, "little")

    def _seal(self, generation: int, secret: SecretBytes, previous: bytes) -> None:
        blob = self._sealer.seal(
            MASTER_SEAL, secret.reveal() + previous, self._associated(generation)
        )
        self._files.save(_file_of(generation), blob)

    def _unsealed(self, generation: int) -> tuple[Generation, ...]:
        """Read generations from the disk as far as they form a chain."""
        chain: tuple[Generation, ...] = ()
        for number in range(generation + 1):
            link = self._open(MASTER_SEAL, _file_of(number), number, chain)
            if link is None:
                break
            chain = (*chain, link)
        return chain

    def _unsealed_proposal(self, generation: int, chain: tuple[Generation, ...]) -> Proposal | None:
        if len(chain) != generation:
            return None
        link = self._open(PROPOSAL_SEAL, PROPOSAL_FILE, generation, chain)
        return None if link is None else Proposal(generation, link)

    def _open(
        self, context: bytes, name: str, generation: int, chain: tuple[Generation, ...]
    ) -> Generation | None:
        blob = self._files.load(name)
        if blob is None:
            return None
        try:
            plaintext = self._sealer.unseal(context, blob, self._associated(generation))
        except CannotUnseal:
            # Not ours: another platform or measurement. Replication is the way to the secret.
            return None
        secret, previous = SecretBytes(plaintext[:SECRET_BYTES]), plaintext[SECRET_BYTES:]
        if previous != self._last_checksum(chain):
            return None
        return self._link(secret, previous)


def _file_of(generation: int) -> str:
    return f"master-{generation}.sealed"


def _ends_in(chain: tuple[Generation, ...], generation: int, checksum: bytes) -> bool:
    return len(chain) == generation + 1 and chain[-1].checksum == checksum
