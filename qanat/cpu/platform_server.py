"""The mock CPU's answers to one enclave that it runs."""

from qanat.cpu.domain import domain_report
from qanat.cpu.platform_file import PlatformFile
from qanat.cpu.quoting import QuotingEnclave
from shared.tee.platform import (
    QuoteWithCollateral,
    derive_chance_seed,
    derive_seal_key,
    derive_shared_seed,
)
from shared.tee.quote import TdReport
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


class DomainServer(PlatformServer):
    """Fulfils `DomainApi` besides, for the enclave of an app: its quotes are a trust domain's."""

    def __init__(
        self,
        platform: PlatformFile,
        measured: EnclaveIdentity,
        config: bytes,
        bundle: bytes,
        *,
        replay_seed: bytes | None = None,
        start: int = 0,
    ) -> None:
        """Answer for one start of one app's enclave; `measured` covers its bundle."""
        identity = domain_report(measured).identity
        super().__init__(platform, identity, config, replay_seed=replay_seed, start=start)
        self._measured, self._bundle = measured, bundle

    def bundle(self) -> bytes:
        """Give the app's bundle that was measured."""
        return self._bundle

    def quote(self, report_data: bytes) -> QuoteWithCollateral:
        """Attest what the domain says, as it was when it started."""
        return self._quote(domain_report(self._measured, report_data))

    def quote_domain(
        self, report_data: bytes, registers: tuple[bytes, bytes, bytes, bytes]
    ) -> QuoteWithCollateral:
        """Attest what the domain says, with its run-time registers."""
        return self._quote(domain_report(self._measured, report_data, registers))

    def _quote(self, report: TdReport) -> QuoteWithCollateral:
        return QuoteWithCollateral(self._quoting.quote_domain(report), self._platform.collateral)
