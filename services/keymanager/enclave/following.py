"""
How the secrets in the vault follow what consensus holds.

A secret that is no good changes nothing: whoever got it into consensus must not stop the enclave
from serving those that it has.
"""

from collections.abc import Callable

from services.keymanager.enclave.ephemeral import EphemeralSecretDisagrees
from services.keymanager.enclave.master import MasterSecretDisagrees
from services.keymanager.enclave.publication import CannotOpenSecret
from services.keymanager.enclave.vault import Vault
from services.keymanager.rules.proven_chain import (
    KeyManagerChain,
    is_open_proposal,
    next_generation,
)
from shared.crypto.secret import SecretBytes
from shared.types.key_requests import MasterSecretMissing
from shared.types.keymanager import PublishedSecret

Decrypt = Callable[[PublishedSecret], SecretBytes | None]
"""Opens a published secret; None where it is not for this enclave; raises `CannotOpenSecret`."""


class SecretFollower:
    """Brings a vault to where a proven chain stands. Each step is harmless when repeated."""

    def __init__(self, vault: Vault, decrypt: Decrypt) -> None:
        self._vault, self._decrypt = vault, decrypt

    def follow(self, chain: KeyManagerChain) -> None:
        """Take up, or drop, what the chain says of each kind of secret."""
        self._follow_master(chain)
        self.follow_proposal(chain)
        self._follow_ephemeral(chain)

    def _follow_master(self, chain: KeyManagerChain) -> None:
        master, status = self._vault.master, chain.status
        if not status.is_initialized:
            master.forget()
            return
        try:
            master.follow(status.generation, status.checksum)
        except MasterSecretMissing:
            # Told to the host by `lacks_master`, which then has it replicated.
            return

    def follow_proposal(self, chain: KeyManagerChain) -> None:
        """Hold the secret that is proposed for the next generation, while it is."""
        master, published = self._vault.master, chain.master
        if published is None or not is_open_proposal(chain):
            if master.proposal is not None:
                master.drop_proposal()
            return
        generation, checksum = next_generation(chain.status), published.secret.secret.checksum
        if master.proposal is not None and master.proposal.link.checksum == checksum:
            return
        if master.generations != generation:
            return
        try:
            secret = self._decrypt(published.secret)
            if secret is None:
                master.recover_proposal(generation, checksum)
            else:
                master.propose(secret, generation, checksum)
        except (CannotOpenSecret, MasterSecretDisagrees):
            # A proposal that is no good dies with its epoch; it must not stop us from serving.
            return

    def _follow_ephemeral(self, chain: KeyManagerChain) -> None:
        published = chain.ephemeral
        if published is None:
            return
        epoch, checksum = published.secret.epoch, published.secret.secret.checksum
        if self._vault.ephemeral.holds(epoch, checksum):
            return
        try:
            secret = self._decrypt(published.secret)
            if secret is not None:
                self._vault.ephemeral.add(epoch, secret, checksum)
        except (CannotOpenSecret, EphemeralSecretDisagrees):
            # Told to the host by `lacks_ephemeral`; the other epochs' keys are as good as before.
            return
