"""The mock CPU's answers to one enclave that it runs."""

from qanat.cpu.platform_file import PlatformFile
from qanat.cpu.quoting import QuotingEnclave
from shared.tee.platform import (
    QuoteWithCollateral,
    derive_chance_seed,
    derive_seal_key,
    derive_shared_seed,
)
from shared.types.attestation import EnclaveIdentity


class PlatformServer:
    """Fulfils `PlatformApi` for the enclave that it was made for, and for no other."""

    def __init__(
        self,
        platform: PlatformFile,
        identity: EnclaveIdentity,
        config: bytes,
        *,
        replay_seed: bytes | None = None,
        start: int = 0,
    ) -> None:
        """
        Answer for one start of one enclave.

        `replay_seed`, the network's, makes the enclave's chance repeatable; `start` counts its
        starts.
        """
        self._platform, self._config = platform, config
        self.identity = identity
        self._replay_seed, self._start = replay_seed, start
        self._quoting = QuotingEnclave(platform)

    def config(self) -> bytes:
        """Give the configuration that was measured."""
        return self._config

    def seal_key(self, key_id: bytes) -> bytes:
        """Give the enclave's key of this platform under a name."""
        measured = self._platform.seals_as(self.identity.mr_enclave)
        return derive_seal_key(self._platform.secret, measured, key_id)

    def quote(self, report_data: bytes) -> QuoteWithCollateral:
        """Attest what the enclave says."""
        quote = self._quoting.quote(self.identity, report_data)
        return QuoteWithCollateral(quote, self._platform.collateral)

    def chance_seed(self) -> bytes | None:
        """Give the seed of the enclave's chance; None where chance is the system's."""
        if self._replay_seed is None:
            return None
        return derive_chance_seed(
            self._replay_seed, self._platform.platform_id, self.identity.mr_enclave, self._start
        )

    def shared_seed(self) -> bytes | None:
        """Give the seed that all enclaves share in a network that replays; None in others."""
        return None if self._replay_seed is None else derive_shared_seed(self._replay_seed)

    def renew_collateral(self, platform: PlatformFile) -> None:
        """Take newer collateral of the same platform; the next quotes carry it."""
        self._platform = platform
