"""What enclaves of apps ask their host: the ParaTime, by its gateway."""

from services.worker.enclave.protocol import CallKey
from services.worker.gateway import Gateway


class HostEdge:
    """Answers `WorkerHostApi` of all enclaves."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def prepare(self, address: bytes) -> tuple[int, int]:
        """Nonce of an account, and the least price of gas."""
        return await self._gateway.fetch_nonce(address), await self._gateway.fetch_gas_price()

    async def fetch_call_key(self) -> CallKey:
        """Key to which calls are encrypted now."""
        return await self._gateway.fetch_call_key()

    async def submit(self, raw: bytes) -> bytes:
        """Send a transaction; its hash."""
        return await self._gateway.submit(raw)

    async def fetch_result(self, hash_: bytes) -> bytes | None:
        """Call result of a transaction in a block, CBOR; None while it is in none."""
        return await self._gateway.fetch_result(hash_)

    async def query(self, method: str, args: bytes) -> bytes:
        """Ask the ParaTime; CBOR in, CBOR out."""
        return await self._gateway.query(method, args)
