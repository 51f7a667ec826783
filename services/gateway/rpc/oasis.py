"""`oasis_*` methods."""

from typing import Any

from services.gateway.index.chain_index import ChainIndex
from services.gateway.index.record import number
from services.gateway.index.rounds import IndexedTransaction
from services.gateway.rpc.errors import InvalidParameters, MalformedTransaction, MethodMissing
from services.gateway.rpc.eth_send import (
    MAX_TRANSACTION_BYTES,
    MINED_WAIT_S,
    EthSendMethods,
)
from services.gateway.rpc.methods import rpc_method
from services.gateway.rpc.parameters import BadParameter, data, hash32, quantity64
from services.gateway.rpc.shapes import Json, show_bytes, show_outcome
from services.gateway.rpc.size_gas import hint_for
from shared.crypto.hashes import sha512_256
from shared.gateways.compute_nodes import ComputeNodes
from shared.types.evm import SDK_QUERIES, EvmQuery
from shared.types.identity import Round

SDK_FIRST_BYTE = b"\x82"
"""Of a transaction of the SDK's format: a CBOR array of two."""
APP_ID_BYTES = 21
MAX_ARGUMENT_BYTES = MAX_TRANSACTION_BYTES + 1_024
"""Of a question: the longest are about a transaction or the data of a call."""
MARKET = "roflmarket."
"""Methods of upstream's market for machines begin with it."""
NO_MARKET = (
    "there is no market for machines here: no providers, offers or instances; "
    "`qanat rofl deploy` puts an app on the network's workers"
)


def query_name(value: Any) -> str:
    """Name of a question of the SDK's modules."""
    if isinstance(value, str) and value.startswith(MARKET):
        raise BadParameter(NO_MARKET)
    if not isinstance(value, str) or value not in SDK_QUERIES:
        raise BadParameter("no such query")
    return value


class OasisMethods:
    """Answers of the namespace."""

    def __init__(
        self,
        nodes: ComputeNodes,
        index: ChainIndex,
        send: EthSendMethods,
        *,
        confidential: bool,
        charges_for_size: bool,
        runtime_id: bytes,
        chain_context: str,
    ) -> None:
        """Take whether the ParaTime is confidential; a public one has no key."""
        self._nodes, self._index, self._confidential = nodes, index, confidential
        self._charges_for_size = charges_for_size
        self._send, self._runtime_id, self._chain_context = send, runtime_id, chain_context

    @rpc_method("oasis_callDataPublicKey")
    async def call_data_public_key(self) -> Json:
        """Key of the epoch to which clients encrypt; the epoch is a JSON number, left out at 0."""
        if not self._confidential:
            raise MethodMissing(
                "the method oasis_callDataPublicKey does not exist/is not available: this ParaTime "
                "is public, and nothing in it is encrypted"
            )
        found = await self._nodes.ask(lambda api: api.fetch_call_data_key())
        shown: Json = {
            "key": show_bytes(found.public_key.key),
            "checksum": show_bytes(found.public_key.checksum),
            "signature": show_bytes(found.public_key.signature),
        }
        if found.epoch:
            shown["epoch"] = found.epoch
        return shown

    @rpc_method("oasis_getTransactionOutcome", hash32)
    async def get_transaction_outcome(self, hash_: bytes) -> Json | None:
        """What became of a transaction, and why where it failed; null while it is in no block."""
        found = await self._index.find_transaction(hash_)
        if found is None:
            return None
        return show_outcome(found, hint_for(found) if self._charges_for_size else None)

    @rpc_method("oasis_runtimeInfo")
    async def runtime_info(self) -> Json:
        """To what signatures under transactions of the SDK's own format are bound."""
        return {"runtimeId": show_bytes(self._runtime_id), "chainContext": self._chain_context}

    @rpc_method("oasis_sendRawTransaction", data)
    async def send_raw_transaction(self, raw: bytes) -> str:
        """
        Hand in a signed transaction of the SDK's own format; its hash, or why it was refused.

        Answers when it is in a block, or after a moment.
        """
        if raw[:1] != SDK_FIRST_BYTE:
            raise MalformedTransaction
        hash_ = sha512_256(raw)
        await self._send.submit_and_wait(raw, hash_, wait_s=MINED_WAIT_S)
        return show_bytes(hash_)

    @rpc_method("oasis_getTransactionResult", hash32)
    async def get_transaction_result(self, hash_: bytes) -> Json | None:
        """What became of a transaction of the SDK's own format; null while it is in no block."""
        found = await self._index.find_native(hash_)
        return None if found is None else _show_result(found)

    @rpc_method("oasis_query", query_name, data)
    async def query(self, method: str, args: bytes) -> str:
        """Ask a module of the SDK about the newest state; CBOR in, CBOR out."""
        if len(args) > MAX_ARGUMENT_BYTES:
            raise InvalidParameters(f"arguments of over {MAX_ARGUMENT_BYTES} bytes")
        return show_bytes(await self._nodes.query(method, args))

    @rpc_method("oasis_proveApp", data, quantity64)
    async def prove_app(self, app_id: bytes, round_: int) -> str:
        """
        Prove the record of an attested app, or its absence, under the state root of a round.

        For enclaves of apps, which believe consensus about the root and nobody about the record.
        """
        if len(app_id) != APP_ID_BYTES:
            raise BadParameter(f"an app id has {APP_ID_BYTES} bytes")
        asked = EvmQuery.PROVE_APP
        return show_bytes(await self._nodes.query(asked, app_id, Round(round_)))


def _show_result(found: IndexedTransaction) -> Json:
    record = found.record
    return {
        "transactionHash": show_bytes(record.hash),
        "blockHash": show_bytes(found.round_hash),
        "blockNumber": hex(found.round),
        "position": hex(found.position),
        "nonce": hex(record.nonce),
        "gasUsed": hex(record.gas_used),
        "fee": hex(record.gas_used * number(record.effective_gas_price)),
        "status": hex(record.status),
        "result": show_bytes(record.output),
        "events": [
            {"key": show_bytes(key), "value": show_bytes(value)} for key, value in record.events
        ],
    }
