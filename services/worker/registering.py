"""How an instance gets its place in the chain, and its keys: what host and enclave do together."""

import asyncio
from typing import Any

import structlog

from services.worker import metrics
from services.worker.enclave.protocol import (
    EnclaveDescription,
    EnclaveState,
    FeeTerms,
    WorkerEnclaveApi,
)
from services.worker.gateway import Gateway
from shared.api.consensus import ConsensusApi
from shared.crypto.address import staking_address
from shared.crypto.signing import Signature, Signer
from shared.encoding import cbor
from shared.encoding.quantity import encode_quantity
from shared.encoding.record import encode_record
from shared.encoding.values import to_wire
from shared.errors import RuntimeRejected
from shared.rules import state_keys
from shared.rules.attested_apps import ENDORSE_CAPABILITY, proof_keys
from shared.rules.sealed_calls import open_result
from shared.rules.transaction_keys import EthereumKey, sign_transaction
from shared.types.attestation import CapabilityTee
from shared.types.sdk_transaction import NATIVE, Call, signature_context

log = structlog.get_logger()

LEAST_BALANCE = 10**18
"""Below this a node's account is filled up [wei]: fees of some registrations."""
FILL_UP = 10 * LEAST_BALANCE
TRANSFER_GAS = 100_000
MAX_EPOCHS = 2


class Registering:
    """Registers instances of one worker."""

    def __init__(
        self,
        node: Signer,
        fee_key: EthereumKey,
        consensus: ConsensusApi,
        gateway: Gateway,
        *,
        runtime_id: bytes,
        chain_context: str,
    ) -> None:
        self._node, self._fee_key = node, fee_key
        self._consensus, self._gateway = consensus, gateway
        self._context = signature_context(runtime_id, chain_context)
        self._funding = asyncio.Lock()

    async def synchronize(
        self, enclave: WorkerEnclaveApi, described: EnclaveDescription
    ) -> EnclaveState:
        """Show the newest block to an enclave."""
        keys = (
            state_keys.CHAIN_CONTEXT,
            state_keys.EPOCH,
            state_keys.INCARNATION,
            state_keys.key_manager_status_key(described.key_manager),
            state_keys.last_block_key(described.runtime_id),
        )
        return await enclave.synchronize(await self._consensus.fetch_proven_state(keys))

    async def renew(
        self, app_id: bytes, enclave: WorkerEnclaveApi, described: EnclaveDescription
    ) -> EnclaveState:
        """
        Register an instance for the coming epochs, and hand it its keys.

        Raises
        ------
        QanatError
            Of the class by which the chain, the gateway or the enclave refused.
        """
        app = await self._gateway.ask("rofl.App", {"id": app_id})
        await self._fund_node()
        state = await self.synchronize(enclave, described)
        capability = await enclave.attest(self._node.public_key)
        raw = await enclave.sign_registration(
            app_id,
            _epochs(app),
            self._endorse(capability),
            await self._prove(state.epoch),
            await self._terms(described),
        )
        open_result(await self._gateway.execute(raw), None)
        metrics.registrations.inc()
        key = await self._gateway.fetch_call_key()
        state = await self.synchronize(enclave, described)
        record = await self._gateway.prove_app(app_id, state.round)
        derivations = await enclave.sign_derivations(await self._terms(described), key)
        root, sek = await asyncio.gather(*map(self._gateway.execute, derivations))
        return await enclave.begin(root, sek, record)

    def _endorse(self, capability: CapabilityTee) -> Signature:
        wire = cbor.encode(to_wire(CapabilityTee, capability))
        return self._node.endorse(ENDORSE_CAPABILITY.anywhere(), wire)

    async def _prove(self, epoch: int) -> bytes:
        keys = proof_keys(self._node.public_key, epoch)
        return encode_record(await self._consensus.fetch_proven_state(keys))

    async def _terms(self, described: EnclaveDescription) -> FeeTerms:
        rak, signer = described.addresses
        return FeeTerms(
            (await self._gateway.fetch_nonce(rak), await self._gateway.fetch_nonce(signer)),
            await self._gateway.fetch_gas_price(),
        )

    async def _fund_node(self) -> None:
        """
        Fill up the account that pays for registrations.

        Genesis gives balances to Ethereum accounts only, so the worker has one, and moves on what
        its node's own account needs.
        """
        account = staking_address(self._node.public_key)
        async with self._funding:
            if await self._gateway.fetch_balance(account) >= LEAST_BALANCE:
                return
            amount = encode_quantity(FILL_UP)
            raw = sign_transaction(
                Call({"to": account, "amount": [amount, NATIVE]}, "accounts.Transfer"),
                ((self._fee_key, await self._gateway.fetch_nonce(self._fee_key.address)),),
                context=self._context,
                gas=TRANSFER_GAS,
                gas_price=await self._gateway.fetch_gas_price(),
            )
            open_result(await self._gateway.execute(raw), None)
            log.info("fee_account_funded")


def _epochs(app: Any) -> int:
    try:
        return max(1, min(MAX_EPOCHS, int(app["policy"]["max_expiration"])))
    except (KeyError, TypeError, ValueError):
        raise RuntimeRejected("rofl", 1, "the chain tells no policy of the app") from None
