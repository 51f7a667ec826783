"""
What the enclave knows: its secrets, the policy about them, and where the chain stands.

One object, changed only by `program`, read by whoever answers a request.
"""

from dataclasses import dataclass

from services.keymanager.enclave.derivation import (
    derive_ephemeral_keys,
    derive_long_term_keys,
    sign_public_key,
)
from services.keymanager.enclave.ephemeral import EphemeralSecrets, verify_epoch_in_reach
from services.keymanager.enclave.master import MasterSecrets
from services.keymanager.enclave.policy import Permissions
from services.keymanager.rules.proven_chain import (
    KeyManagerChain,
    missing_epochs,
    published_checksum,
)
from shared.types.identity import FIRST_INCARNATION, Epoch, Height, Incarnation
from shared.types.key_requests import FreshnessUnproven, KeyPair, PolicyMissing
from shared.types.keymanager import SignedPublicKey

PUBLIC_GENERATION = 0
"""Long-term keys are of the first generation for ever, so that old state stays readable."""


@dataclass(frozen=True, slots=True)
class ChainPosition:
    """The newest consensus block that the light client has verified."""

    height: Height
    time_ns: int
    epoch: Epoch
    incarnation: Incarnation = FIRST_INCARNATION


class Vault:
    """Secrets with the rules that guard them."""

    def __init__(
        self, runtime_id: bytes, master: MasterSecrets, ephemeral: EphemeralSecrets
    ) -> None:
        self.runtime_id = runtime_id
        self.master, self.ephemeral = master, ephemeral
        self.position = ChainPosition(Height(0), 0, Epoch(0))
        self.is_fresh = False
        """Whether the registry is proven to hold this start's RAK; see `shared.rules.standing`."""
        self._permissions: Permissions | None = None

    @property
    def permissions(self) -> Permissions:
        """What the verified policy allows, or `PolicyMissing`."""
        if self._permissions is None:
            raise PolicyMissing("the enclave has not verified a policy yet")
        return self._permissions

    @permissions.setter
    def permissions(self, permissions: Permissions) -> None:
        self._permissions = permissions

    def verify_fresh(self) -> None:
        """Raise `FreshnessUnproven` while an old chain might be all that the enclave has seen."""
        if not self.is_fresh:
            raise FreshnessUnproven("this start of the enclave is not proven to be registered yet")

    def lacks(self, chain: KeyManagerChain) -> tuple[Epoch, ...]:
        """Epochs whose secrets this enclave should hold and does not."""

        def holds(epoch: int) -> bool:
            checksum = published_checksum(chain, epoch)
            if checksum is not None:
                return self.ephemeral.holds(epoch, checksum)
            return epoch in self.ephemeral.epochs()

        return missing_epochs(chain, self.permissions.max_ephemeral_secret_age, holds)

    def long_term_keys(self, runtime_id: bytes, key_pair_id: bytes, generation: int) -> KeyPair:
        """Derive a long-term pair, or raise `MasterSecretMissing`."""
        return derive_long_term_keys(self.master.secret(generation), runtime_id, key_pair_id)

    def ephemeral_keys(self, runtime_id: bytes, key_pair_id: bytes, epoch: int) -> KeyPair:
        """Derive a pair of an epoch; raises as `verify_epoch_in_reach`."""
        verify_epoch_in_reach(
            epoch,
            now_epoch=self.position.epoch,
            max_age=self.permissions.max_ephemeral_secret_age,
        )
        secret = self.ephemeral.get(epoch).secret
        return derive_ephemeral_keys(secret, runtime_id, key_pair_id, epoch)

    def public_key(self, runtime_id: bytes, key_pair_id: bytes) -> SignedPublicKey:
        """Vouch for a long-term public key; anybody may have it."""
        self.verify_fresh()
        pair = self.long_term_keys(runtime_id, key_pair_id, PUBLIC_GENERATION)
        return self._sign(pair, runtime_id, key_pair_id, None)

    def ephemeral_public_key(
        self, runtime_id: bytes, key_pair_id: bytes, epoch: int
    ) -> SignedPublicKey:
        """Vouch for the public key of an epoch; anybody may have it."""
        self.verify_fresh()
        pair = self.ephemeral_keys(runtime_id, key_pair_id, epoch)
        return self._sign(pair, runtime_id, key_pair_id, epoch)

    def _sign(
        self, pair: KeyPair, runtime_id: bytes, key_pair_id: bytes, epoch: int | None
    ) -> SignedPublicKey:
        newest = self.master.newest()
        return sign_public_key(
            newest.signer,
            pair.public_key,
            checksum=newest.checksum,
            runtime_id=runtime_id,
            key_pair_id=key_pair_id,
            epoch=epoch,
        )
