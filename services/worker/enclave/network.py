"""What an app reaches through its daemon: the ParaTime by the host, and the CPU."""

import asyncio
import threading
import time
from typing import Protocol

from services.worker.appd.instance import PlatformEvidence
from services.worker.appd.transactions import AppTransaction
from services.worker.enclave.errors import NoResult
from services.worker.enclave.protocol import CallKey, WorkerHostApi
from shared.encoding import cbor
from shared.rules.sealed_calls import Sealed, open_sealed
from shared.rules.transaction_keys import EthereumKey, sign_transaction
from shared.tee.attestation import find_root_ca
from shared.tee.config import EnclaveConfig
from shared.tee.platform import DomainApi, QuoteWithCollateral
from shared.types.sdk_transaction import Call

DEFAULT_GAS = 1_000_000
"""Where an app names no limit."""
PATIENCE_S = 45.0
"""How long an app waits for its transaction [s]; clients of upstream give up after 60."""
POLL_S = 0.2


class Enclave(Protocol):
    """What the network needs of the enclave."""

    config: EnclaveConfig

    @property
    def app_id(self) -> bytes:
        """The app, or raise `NoKeys`."""
        ...

    @property
    def sdk_context(self) -> bytes:
        """Context of signatures."""
        ...

    def quoted(self) -> QuoteWithCollateral:
        """Give a quote that binds the RAK."""
        ...

    def seal(self, call: Call, key: CallKey) -> Sealed:
        """Encrypt a call to a key that the host brought, once that is verified."""
        ...


class Network:
    """Fulfils `Surroundings`. Transactions of one instance go one after the other."""

    def __init__(
        self, host: WorkerHostApi, signer: EthereumKey, enclave: Enclave, cpu: DomainApi
    ) -> None:
        self._host, self._signer, self._enclave, self._cpu = host, signer, enclave, cpu
        self._order = threading.Lock()

    async def submit(self, transaction: AppTransaction, *, encrypt: bool) -> bytes:
        """Sign and send a transaction as this instance; gives the CBOR call result."""
        return await asyncio.to_thread(self._submit, transaction, encrypt)

    def _submit(self, transaction: AppTransaction, encrypt: bool) -> bytes:
        call, key = Call(transaction.body, transaction.method), None
        with self._order:
            app_id = self._enclave.app_id
            if encrypt:
                call, key = self._seal(call)
            nonce, gas_price = self._host.prepare(self._signer.address)
            raw = sign_transaction(
                call,
                ((self._signer, nonce),),
                context=self._enclave.sdk_context,
                gas=transaction.gas or DEFAULT_GAS,
                gas_price=gas_price,
                proxy=app_id,
            )
            result = self._wait(self._host.submit(raw))
        return cbor.encode(open_sealed(result, key))

    def _seal(self, call: Call) -> tuple[Call, bytes]:
        sealed = self._enclave.seal(call, self._host.fetch_call_key())
        return sealed.call, sealed.key

    def _wait(self, hash_: bytes) -> bytes:
        deadline = time.monotonic() + PATIENCE_S
        while (found := self._host.fetch_result(hash_)) is None:
            if time.monotonic() > deadline:
                raise NoResult(f"transaction {hash_.hex()} is in no block yet")
            time.sleep(POLL_S)
        return found

    async def query(self, method: str, args: bytes) -> bytes:
        """Ask the ParaTime; the host, or who it asks, is taken at his word, as a client's node."""
        return await asyncio.to_thread(self._host.query, method, args)

    def quote(self, report_data: bytes, registers: tuple[bytes, bytes, bytes, bytes]) -> bytes:
        """Quote the instance with 64 bytes of its own and its run-time registers."""
        return self._cpu.quote_domain(report_data, registers).quote

    def platform(self) -> PlatformEvidence:
        """Give what verifiers of the instance's quotes need."""
        collateral = self._enclave.quoted().collateral
        root_ca = find_root_ca(collateral, self._enclave.config.root_ca_hash)
        return PlatformEvidence(root_ca, collateral)
