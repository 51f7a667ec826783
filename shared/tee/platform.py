"""
The mock CPU, as an enclave sees it.

On hardware these are instructions: EGETKEY, EREPORT with the quoting enclave behind it, RDRAND.
Here they are messages to the launcher over a socket of the enclave's own. The launcher knows which
enclave it started on which socket, so the measurement is never self-reported. See ADR 0004.
"""

from dataclasses import dataclass
from typing import Annotated, Protocol

from shared.crypto.hashes import kmac256
from shared.encoding.notes import Size
from shared.encoding.record import Bytes32, Bytes64
from shared.types.attestation import Collateral

SEAL_KEY = b"qanat/platform: seal key (insecure mock)"
CHANCE = b"qanat/platform: chance (insecure mock)"
SHARED = b"qanat/platform: shared chance (insecure mock)"

Register = Annotated[bytes, Size(48)]


@dataclass(frozen=True, slots=True)
class QuoteWithCollateral:
    """A quote with what a verifier needs beside it."""

    quote: bytes
    collateral: Collateral


class PlatformApi(Protocol):
    """Messages of the mock CPU to the enclave it runs."""

    def config(self) -> bytes:
        """Give the configuration that was measured; no file that might have changed since."""
        ...

    def seal_key(self, key_id: Bytes32) -> Bytes32:
        """Give the key of this platform, for the enclave that asks, under a name."""
        ...

    def quote(self, report_data: Bytes64) -> QuoteWithCollateral:
        """Attest that the enclave that asks said these bytes."""
        ...

    def chance_seed(self) -> Bytes32 | None:
        """
        Give the seed of the enclave's chance in a network that replays; None otherwise.

        Another one at each start of the enclave, so that what must be fresh is.
        """
        ...

    def shared_seed(self) -> Bytes32 | None:
        """
        Give a seed that all enclaves share in a network that replays; None in others.

        For what must hang neither on which of them is first, nor on their code's measurement.
        """
        ...


class DomainApi(Protocol):
    """What the CPU answers besides to the enclave of an app, which is a trust domain."""

    def bundle(self) -> bytes:
        """Give the app's bundle that was measured."""
        ...

    def quote_domain(
        self, report_data: Bytes64, registers: tuple[Register, Register, Register, Register]
    ) -> QuoteWithCollateral:
        """Attest what the domain says, with its run-time registers."""
        ...


def derive_seal_key(platform_secret: bytes, mr_enclave: bytes, key_id: bytes) -> bytes:
    """
    Derive a seal key; the platform's secret and both names have 32 bytes.

    Source: oasis-core runtime/src/common/sgx/egetkey.rs @ f9f1fdc, policy MRENCLAVE; differs: the
    platform secret is a file.
    """
    return kmac256(platform_secret, mr_enclave + key_id, SEAL_KEY)


def derive_chance_seed(
    network_seed: bytes, platform_id: bytes, mr_enclave: bytes, start: int
) -> bytes:
    """Derive the seed of an enclave's chance for its n-th start in a replayed network."""
    return kmac256(network_seed, platform_id + mr_enclave + start.to_bytes(8, "big"), CHANCE)


def derive_shared_seed(network_seed: bytes) -> bytes:
    """Derive the seed that all enclaves share in a replayed network."""
    return kmac256(network_seed, b"", SHARED)
