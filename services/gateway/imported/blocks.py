"""Blocks of an imported chain as the index holds them. Pure."""

from typing import Any

import orjson

from services.gateway.index.record import TransactionRecord, encode_transaction_record
from services.gateway.index.rounds import (
    EthereumBlock,
    EthereumTransaction,
    IndexedRound,
    IndexedTransaction,
)
from shared.encoding.quantity import encode_quantity
from shared.types.block import BlockHeader, HeaderType
from shared.types.identity import Hash, Round, RuntimeId

BLOB_GAS = 2**17
"""Of one blob [gas]. Source: EIP-4844, GAS_PER_BLOB."""
Json = dict[str, Any]


def index_ethereum_block(text: bytes, runtime_id: bytes) -> IndexedRound:
    """Put a block together from the JSON of `EthereumChain.block`."""
    whole: Json = orjson.loads(text)
    shown, raw = whole["block"], whole["raw"]
    transactions = shown.pop("transactions")
    receipts = whole["receipts"]
    records = [_record(*one) for one in zip(transactions, receipts, whole["outputs"], strict=True)]
    header = BlockHeader(
        version=0,
        namespace=RuntimeId(runtime_id),
        round=Round(_number(shown["number"])),
        timestamp=_number(shown["timestamp"]),
        header_type=HeaderType.NORMAL,
        previous_hash=Hash(_bytes(shown["parentHash"])),
        io_root=Hash(_bytes(shown["transactionsRoot"])),
        state_root=Hash(_bytes(shown["stateRoot"])),
    )
    hash_ = _bytes(shown["hash"])
    indexed: list[IndexedTransaction] = []
    first_log = 0
    for position, record in enumerate(records):
        ethereum = EthereumTransaction(
            shown=transactions[position],
            receipt=receipts[position],
            raw=_bytes(raw["transactions"][position]),
            raw_receipt=_bytes(raw["receipts"][position]),
        )
        indexed.append(
            IndexedTransaction(
                header.round, hash_, header.timestamp, position, first_log, record, ethereum
            )
        )
        first_log += len(record.logs)
    return IndexedRound(
        header=header,
        hash=hash_,
        transactions=tuple(indexed),
        natives=(),
        raw_records=tuple(map(encode_transaction_record, records)),
        size_bytes=_number(shown["size"]),
        gas_used=_number(shown["gasUsed"]),
        bloom=_bytes(shown["logsBloom"]),
        ethereum=EthereumBlock(
            shown=shown,
            ommers=tuple(whole["ommers"]),
            raw_header=_bytes(raw["header"]),
            raw=_bytes(raw["block"]),
            base_fee_wei=_number(shown.get("baseFeePerGas") or "0x0"),
            next_base_fee_wei=_number(whole["nextBaseFee"] or "0x0"),
            blob_fee_wei=_number(whole["blobFee"] or "0x0"),
            next_blob_fee_wei=_number(whole["nextBlobFee"] or "0x0"),
            max_blob_gas=whole["maxBlobs"] * BLOB_GAS,
        ),
    )


def _record(shown: Json, receipt: Json, output: str) -> TransactionRecord:
    price = _short(receipt["effectiveGasPrice"])
    accesses = shown.get("accessList")
    offered = shown["gasPrice"]
    return TransactionRecord(
        hash=_bytes(shown["hash"]),
        sender=_bytes(shown["from"]),
        nonce=_number(shown["nonce"]),
        gas=_number(shown["gas"]),
        gas_price=price,
        max_fee=_short(shown.get("maxFeePerGas", offered)),
        max_tip=_short(shown.get("maxPriorityFeePerGas", offered)),
        value=_short(shown["value"]),
        type=_number(shown["type"]),
        input=_bytes(shown["input"]),
        v=_short(shown["v"]),
        r=_short(shown["r"]),
        s=_short(shown["s"]),
        # Receipts before Byzantium say what the state was, and not whether it went well.
        status=_number(receipt.get("status", "0x1")),
        gas_used=_number(receipt["gasUsed"]),
        cumulative_gas_used=_number(receipt["cumulativeGasUsed"]),
        effective_gas_price=price,
        logs=tuple(
            (_bytes(one["address"]), tuple(map(_bytes, one["topics"])), _bytes(one["data"]))
            for one in receipt["logs"]
        ),
        bloom=_bytes(receipt["logsBloom"]),
        output=_bytes(output),
        encrypted=False,
        to=None if shown["to"] is None else _bytes(shown["to"]),
        chain_id=_number(shown["chainId"]) if "chainId" in shown else None,
        access_list=None
        if accesses is None
        else tuple(
            (_bytes(one["address"]), tuple(map(_bytes, one["storageKeys"]))) for one in accesses
        ),
        contract_address=None
        if receipt["contractAddress"] is None
        else _bytes(receipt["contractAddress"]),
    )


def _number(text: str) -> int:
    return int(text, 16)


def _short(text: Any) -> bytes:
    return encode_quantity(_number(text))


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text[2:])
