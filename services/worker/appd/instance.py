"""The instance behind a daemon: what differs between a worker's app and one that runs alone."""

from dataclasses import dataclass, field
from typing import Protocol

from services.worker.appd.events import EventLog
from services.worker.appd.metadata import Metadata
from services.worker.appd.transactions import AppTransaction
from shared.types.attestation import Collateral


@dataclass(frozen=True, slots=True)
class PlatformEvidence:
    """What a verifier needs beside a quote; the host says so, and each part is signed."""

    root_ca: bytes
    """DER of the root that quotes stand under."""
    collateral: Collateral


class Surroundings(Protocol):
    """What an instance reaches outside itself."""

    async def submit(self, transaction: AppTransaction, *, encrypt: bool) -> bytes:
        """Sign and send a transaction as this instance; gives the CBOR call result."""
        ...

    async def query(self, method: str, args: bytes) -> bytes:
        """Ask the ParaTime; CBOR in and out."""
        ...

    def quote(self, report_data: bytes, registers: tuple[bytes, bytes, bytes, bytes]) -> bytes:
        """Quote the instance with 64 bytes of its own and its run-time registers."""
        ...

    def platform(self) -> PlatformEvidence:
        """Give what verifiers of the instance's quotes need."""
        ...


@dataclass(frozen=True, slots=True)
class AppInstance:
    """One running app."""

    app_id: bytes
    """21 bytes."""
    name: str
    instance_id: bytes
    """20 bytes."""
    root_key: bytes = field(repr=False)
    """From the key manager, the same for each replica of the app."""
    measurement: bytes
    """48 bytes: what the instance was when it started (MRTD)."""
    device_id: bytes
    """32 bytes that name the platform."""
    compose: str
    """The app's description, as it was measured."""
    surroundings: Surroundings
    metadata: Metadata = field(default_factory=Metadata)
    events: EventLog = field(default_factory=EventLog)
