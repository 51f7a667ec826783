"""
The JSON objects that clients see. Pure.

Source: oasis-web3-gateway rpc/utils/utils.go, indexer/utils.go @ 40bf2d3; go-ethereum for the
names. Blocks have no `baseFeePerGas`, so that clients send legacy transactions, as on Sapphire.
"""

from functools import lru_cache
from typing import Any

from services.gateway.authorizations import (
    SET_CODE,
    Authorization,
    of_record,
    show_authorizations,
)
from services.gateway.encryption import Envelope, read_envelope
from services.gateway.index.fees import BLOCK_GAS_LIMIT, FeeHistory
from services.gateway.index.record import TransactionRecord, number
from services.gateway.index.rounds import IndexedRound, IndexedTransaction, LogEntry, logs_of
from services.gateway.pooled import PooledTransaction
from shared.crypto.hashes import keccak256
from shared.encoding.quantity import encode_quantity

Json = dict[str, Any]

ZERO_HASH = "0x" + "00" * 32
EMPTY_ROOT = "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"
"""Root of an empty trie."""
EMPTY_UNCLES = "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347"
"""Hash of an empty list of uncles."""
MINER = "0x0000000000000000000000000000000088888888"
NO_NONCE = "0x0000000000000000"


def show_bytes(raw: bytes) -> str:
    """Bytes as `0x…`."""
    return "0x" + raw.hex()


@lru_cache(maxsize=8192)
def show_checksummed(address: bytes) -> str:
    """Address in the mixed case of EIP-55."""
    digits = address.hex()
    mask = keccak256(digits.encode()).hex()
    return "0x" + "".join(
        digit.upper() if nibble >= "8" else digit
        for digit, nibble in zip(digits, mask, strict=False)
    )


def show_block(round_: IndexedRound, *, with_transactions: bool) -> Json:
    """Block with its transactions, or only their hashes."""
    transactions = [
        show_transaction(one) if with_transactions else show_bytes(one.record.hash)
        for one in round_.transactions
    ]
    if round_.ethereum is not None:
        return round_.ethereum.shown | {"transactions": transactions}
    return _show_header(round_) | {
        "hash": show_bytes(round_.hash),
        "size": hex(round_.size_bytes),
        "totalDifficulty": "0x0",
        "transactions": transactions,
        "uncles": [],
    }


def show_new_head(round_: IndexedRound, base_fee_wei: int) -> Json:
    """Header as subscriptions send it: with `baseFeePerGas`, and the block's own hash."""
    return _show_header(round_) | {
        "hash": show_bytes(round_.hash),
        "baseFeePerGas": hex(base_fee_wei),
        "withdrawalsRoot": None,
        "blobGasUsed": None,
        "excessBlobGas": None,
        "parentBeaconBlockRoot": None,
    }


def _show_header(round_: IndexedRound) -> Json:
    header = round_.header
    return {
        "difficulty": "0x0",
        "extraData": "0x",
        "gasLimit": hex(BLOCK_GAS_LIMIT),
        "gasUsed": hex(round_.gas_used),
        "logsBloom": show_bytes(round_.bloom),
        "miner": MINER,
        "mixHash": ZERO_HASH,
        "nonce": NO_NONCE,
        "number": hex(header.round),
        "parentHash": show_bytes(header.previous_hash),
        "receiptsRoot": EMPTY_ROOT,
        "sha3Uncles": EMPTY_UNCLES,
        "stateRoot": show_bytes(round_.ethereum_root or header.state_root),
        "timestamp": hex(header.timestamp),
        "transactionsRoot": show_bytes(header.io_root) if round_.transactions else EMPTY_ROOT,
    }


HEADER_FIELDS = (
    "parentHash", "sha3Uncles", "miner", "stateRoot", "transactionsRoot", "receiptsRoot",
    "logsBloom", "difficulty", "number", "gasLimit", "gasUsed", "timestamp", "extraData",
    "mixHash", "nonce",
)  # fmt: skip
"""In Ethereum's order."""
QUANTITIES = frozenset({"difficulty", "number", "gasLimit", "gasUsed", "timestamp"})


def header_items(round_: IndexedRound) -> list[bytes]:
    """The fields of a shown header as Ethereum encodes them."""
    shown = _show_header(round_)
    return [
        encode_quantity(int(shown[name], 16))
        if name in QUANTITIES
        else bytes.fromhex(shown[name][2:])
        for name in HEADER_FIELDS
    ]


def show_transaction(transaction: IndexedTransaction) -> Json:
    """Transaction; addresses in lower case, the input as it was sent."""
    if transaction.ethereum is not None:
        return transaction.ethereum.shown
    record = transaction.record
    shown = {
        "blockHash": show_bytes(transaction.round_hash),
        "blockNumber": hex(transaction.round),
        "blockTimestamp": hex(transaction.timestamp),
        "from": show_bytes(record.sender),
        "gas": hex(record.gas),
        "gasPrice": hex(_shown_gas_price(record)),
        "maxFeePerGas": hex(number(record.max_fee)),
        "maxPriorityFeePerGas": hex(number(record.max_tip)),
        "hash": show_bytes(record.hash),
        "input": show_bytes(record.input),
        "nonce": hex(record.nonce),
        "to": None if record.to is None else show_bytes(record.to),
        "transactionIndex": hex(transaction.position),
        "value": hex(number(record.value)),
        "type": hex(record.type),
        "accessList": _show_accesses(record.access_list),
        "chainId": None if record.chain_id is None else hex(record.chain_id),
        "v": hex(number(record.v)),
        "r": hex(number(record.r)),
        "s": hex(number(record.s)),
    }
    authorizations = tuple(map(of_record, record.authorizations))
    return shown | _of_type(record.type, number(record.v), authorizations)


def _of_type(kind: int, v: int, authorizations: tuple[Authorization, ...]) -> Json:
    """What typed transactions show beside, as go-ethereum does."""
    shown: Json = {"yParity": hex(v)} if kind else {}
    if kind == SET_CODE:
        shown["authorizationList"] = show_authorizations(authorizations)
    return shown


def show_pooled(pooled: PooledTransaction) -> Json:
    """Transaction that is in no block; as `show_transaction`, without a place."""
    shown = {
        "blockHash": None,
        "blockNumber": None,
        "blockTimestamp": None,
        "from": show_bytes(pooled.sender),
        "gas": hex(pooled.gas),
        "gasPrice": hex(pooled.max_fee),
        "maxFeePerGas": hex(pooled.max_fee),
        "maxPriorityFeePerGas": hex(pooled.max_tip),
        "hash": show_bytes(pooled.hash),
        "input": show_bytes(pooled.input),
        "nonce": hex(pooled.nonce),
        "to": None if pooled.to is None else show_bytes(pooled.to),
        "transactionIndex": None,
        "value": hex(pooled.value),
        "type": hex(pooled.type),
        "accessList": _show_accesses(pooled.access_list),
        "chainId": None if pooled.chain_id is None else hex(pooled.chain_id),
        "v": hex(pooled.v),
        "r": hex(pooled.r),
        "s": hex(pooled.s),
    }
    return shown | _of_type(pooled.type, pooled.v, pooled.authorizations)


def _shown_gas_price(record: TransactionRecord) -> int:
    """What the sender signed; in types 2 and 4, where that is a range, what was paid."""
    return number(record.gas_price if record.type in (2, SET_CODE) else record.max_fee)


def _show_accesses(
    accesses: tuple[tuple[bytes, tuple[bytes, ...]], ...] | None,
) -> list[Json] | None:
    if accesses is None:
        return None
    return [
        {"address": show_bytes(address), "storageKeys": [show_bytes(slot) for slot in slots]}
        for address, slots in accesses
    ]


def show_receipt(transaction: IndexedTransaction) -> Json:
    """Receipt; addresses checksummed, but on Ethereum's own chain."""
    if transaction.ethereum is not None:
        return transaction.ethereum.receipt
    record = transaction.record
    return {
        "blockHash": show_bytes(transaction.round_hash),
        "blockNumber": hex(transaction.round),
        "contractAddress": _show_optional(record.contract_address),
        "cumulativeGasUsed": hex(record.cumulative_gas_used),
        "effectiveGasPrice": hex(number(record.effective_gas_price)),
        "from": show_checksummed(record.sender),
        "gasUsed": hex(record.gas_used),
        "logs": [show_log(log) for log in logs_of(transaction)],
        "logsBloom": show_bytes(record.bloom),
        "status": hex(record.status),
        "to": _show_optional(record.to),
        "transactionHash": show_bytes(record.hash),
        "transactionIndex": hex(transaction.position),
        "type": hex(record.type),
    }


def show_envelope(envelope: Envelope | None) -> Json | None:
    """What anybody sees of an envelope; null where calldata was plain."""
    if envelope is None:
        return None
    return {"epoch": hex(envelope.epoch), "key": show_bytes(envelope.key)}


def show_outcome(transaction: IndexedTransaction, hint: str | None = None) -> Json:
    """
    What a transaction's runtime said of it; ours, the original shows it nowhere.

    `output` is sealed to the sender where the calldata was encrypted, and so is the reason of a
    revert then. A hint says what to do about a failure.
    """
    record = transaction.record
    failure = record.error
    return {
        "transactionHash": show_bytes(record.hash),
        "blockNumber": hex(transaction.round),
        "status": hex(record.status),
        "encrypted": record.encrypted,
        "envelope": show_envelope(read_envelope(record.input)) if record.encrypted else None,
        "gas": hex(record.gas),
        "gasUsed": hex(record.gas_used),
        "output": show_bytes(record.output),
        "error": None
        if failure is None
        else {"module": failure.module, "code": failure.code, "message": failure.message}
        | ({} if hint is None else {"hint": hint}),
    }


def _show_optional(address: bytes | None) -> str | None:
    return None if address is None else show_checksummed(address)


def show_log(log: LogEntry, *, is_removed: bool = False) -> Json:
    """Event; removed where a rewind made its block void. The original leaves the time at zero."""
    return {
        "address": show_bytes(log.address),
        "topics": [show_bytes(topic) for topic in log.topics],
        "data": show_bytes(log.data),
        "blockNumber": hex(log.round),
        "transactionHash": show_bytes(log.transaction_hash),
        "transactionIndex": hex(log.position),
        "blockHash": show_bytes(log.round_hash),
        "blockTimestamp": hex(log.timestamp),
        "logIndex": hex(log.index),
        "removed": is_removed,
    }


def show_fee_history(history: FeeHistory) -> Json:
    """Fee history; as many base fees as rounds."""
    if not history.base_fees_wei:
        return {"oldestBlock": "0x0", "gasUsedRatio": None}
    return {
        "oldestBlock": hex(history.oldest_round),
        "reward": [[hex(tip) for tip in tips] for tips in history.rewards_wei],
        "baseFeePerGas": [hex(fee) for fee in history.base_fees_wei],
        "gasUsedRatio": list(history.gas_used_ratios),
    }
