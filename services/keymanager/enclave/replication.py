"""
Taking secrets from another key manager.

The other enclave is asked in an attested session, so it runs code whose policy makes us its heir.
Master secrets must still give the checksum that consensus holds. Ephemeral secrets must give the
published checksum where consensus still has it; of older epochs it does not, and there the other
enclave's word is taken, which is that of the same code as ours.
"""

from collections.abc import Callable
from typing import Any

from services.keymanager.enclave.vault import Vault
from services.keymanager.rules.proven_chain import KeyManagerChain, published_checksum
from shared.crypto.secret import SecretBytes
from shared.types.key_requests import (
    ChainView,
    EphemeralSecretMissing,
    ReplicatedSecret,
    decode_key_answer,
    encode_key_request,
)

Ask = Callable[[bytes], bytes]
"""Sends the plaintext of a request in the session; gives that of the answer."""


class Replication:
    """One visit to another key manager."""

    def __init__(self, vault: Vault, chain: KeyManagerChain, ask: Ask) -> None:
        self._vault, self._chain, self._ask = vault, chain, ask

    def replicate_master(self) -> None:
        """
        Take every generation that consensus knows.

        Raises
        ------
        MasterSecretMissing
            The other one does not have them either.
        MasterSecretDisagrees
            It has others than consensus.
        """
        status = self._chain.status
        secrets = tuple(
            SecretBytes(self._request("replicate_master_secret", generation=generation).secret)
            for generation in range(status.generation + 1)
        )
        self._vault.master.adopt(secrets, status.checksum)

    def replicate_ephemeral(self) -> None:
        """Take the secrets of all open epochs that we lack and the other one has."""
        for epoch in self._vault.lacks(self._chain):
            try:
                replicated = self._request("replicate_ephemeral_secret", epoch=epoch)
            except EphemeralSecretMissing:
                continue
            checksum = published_checksum(self._chain, epoch) or replicated.checksum
            self._vault.ephemeral.add(epoch, SecretBytes(replicated.secret), checksum)

    def _request(self, method: str, **arguments: Any) -> ReplicatedSecret:
        position = self._vault.position
        view = ChainView(position.height, position.time_ns, position.incarnation)
        answer = self._ask(encode_key_request(method, view=view, **arguments))
        replicated: ReplicatedSecret = decode_key_answer(method, answer)
        return replicated
