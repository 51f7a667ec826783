"""A round as the index holds it, built alike from a fresh block and from stored rows. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from services.gateway.index.record import (
    BLOOM_BYTES,
    TransactionRecord,
    decode_transaction_record,
)
from shared.encoding.record import decode_record, encode_record
from shared.types.block import BlockHeader, RoundBlock, results_of, summary_of
from shared.types.evm import RoundSummary

NO_BLOOM = bytes(BLOOM_BYTES)


@dataclass(frozen=True, slots=True)
class EthereumTransaction:
    """What Ethereum shows of a transaction of a chain that was imported."""

    shown: dict[str, Any]
    """As `eth_getTransactionByHash` answers."""
    receipt: dict[str, Any]
    raw: bytes
    """As it was signed."""
    raw_receipt: bytes


@dataclass(frozen=True, slots=True)
class EthereumBlock:
    """What Ethereum shows of a block of a chain that was imported."""

    shown: dict[str, Any]
    """As `eth_getBlockByHash` answers, without transactions."""
    ommers: tuple[dict[str, Any], ...]
    """Headers as `eth_getUncleByBlockHashAndIndex` answers."""
    raw_header: bytes
    raw: bytes
    base_fee_wei: int
    next_base_fee_wei: int
    """Of the block after it."""
    blob_fee_wei: int
    """[wei/gas]; 0 before blobs."""
    next_blob_fee_wei: int
    max_blob_gas: int
    """0 before blobs."""


@dataclass(frozen=True, slots=True)
class IndexedTransaction:
    """A transaction with its place in the chain."""

    round: int
    round_hash: bytes
    timestamp: int
    """Of its round [s]."""
    position: int
    """Among all of the round, from 0."""
    first_log: int
    """Index in the round of its first log."""
    record: TransactionRecord
    ethereum: EthereumTransaction | None = None
    """None on a chain of Oasis."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One event with its place in the chain."""

    round: int
    round_hash: bytes
    timestamp: int
    """Of its round [s]."""
    position: int
    """Of its transaction in the round."""
    transaction_hash: bytes
    index: int
    """In the round."""
    address: bytes
    topics: tuple[bytes, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class IndexedRound:
    """A finalized round with all that answers need."""

    header: BlockHeader
    hash: bytes
    transactions: tuple[IndexedTransaction, ...]
    """Those of Ethereum."""
    natives: tuple[IndexedTransaction, ...]
    """Those of the SDK's format, with their places among all."""
    raw_records: tuple[bytes, ...]
    """The records' bytes as they came; what the store keeps."""
    size_bytes: int
    """Header and raw transactions."""
    gas_used: int
    bloom: bytes
    """Union of the transactions' blooms."""
    ethereum: EthereumBlock | None = None
    """None on a chain of Oasis."""
    ethereum_root: bytes | None = None
    """Root of the trie of accounts; None on a confidential chain, and where no round named it."""

    @property
    def number(self) -> int:
        """The round."""
        return self.header.round

    def at(self, position: int) -> IndexedTransaction | None:
        """One of Ethereum's transactions by its place among all of the round."""
        return next((one for one in self.transactions if one.position == position), None)

    def every_transaction(self) -> Iterator[IndexedTransaction]:
        """Those of both kinds, one kind after the other."""
        return chain(self.transactions, self.natives)

    def in_order(self) -> list[IndexedTransaction]:
        """Those of both kinds by their places, as `raw_records` has them."""
        return sorted(self.every_transaction(), key=lambda one: one.position)

    def logs(self) -> Iterator[LogEntry]:
        """Every event of the round in order."""
        for transaction in self.transactions:
            yield from logs_of(transaction)


def logs_of(transaction: IndexedTransaction) -> Iterator[LogEntry]:
    """Events of one transaction in order."""
    for offset, (address, topics, data) in enumerate(transaction.record.logs):
        yield LogEntry(
            round=transaction.round,
            round_hash=transaction.round_hash,
            timestamp=transaction.timestamp,
            position=transaction.position,
            transaction_hash=transaction.record.hash,
            index=transaction.first_log + offset,
            address=address,
            topics=topics,
            data=data,
        )


def index_block(block: RoundBlock, parent_root: bytes | None = None) -> IndexedRound:
    """
    Read a block from a compute node; `parent_root` is the Ethereum state root of the one before.

    Raises
    ------
    MalformedCbor, MalformedRecord
        A result record is not one.
    """
    size = len(encode_record(block.header)) + sum(map(len, block.transactions))
    summary = summary_of(block)
    root = parent_root if summary is None else decode_record(RoundSummary, summary).ethereum_root
    return build_round(block.header, results_of(block), size, root)


def build_round(
    header: BlockHeader,
    raw_records: Sequence[bytes],
    size_bytes: int,
    ethereum_root: bytes | None = None,
) -> IndexedRound:
    """Put a round together from its header and the bytes of its result records."""
    hash_ = header.hash()
    transactions: list[IndexedTransaction] = []
    natives: list[IndexedTransaction] = []
    first_log = gas_used = 0
    bloom = 0
    for position, raw in enumerate(raw_records):
        record = decode_transaction_record(raw)
        gas_used += record.gas_used
        kind = natives if record.is_native else transactions
        kind.append(
            IndexedTransaction(header.round, hash_, header.timestamp, position, first_log, record)
        )
        if record.is_native:
            # As upstream's gateway, which shows neither them nor their logs.
            continue
        first_log += len(record.logs)
        if record.logs:
            bloom |= int.from_bytes(record.bloom, "big")
    return IndexedRound(
        header=header,
        hash=hash_,
        transactions=tuple(transactions),
        natives=tuple(natives),
        raw_records=tuple(raw_records),
        size_bytes=size_bytes,
        gas_used=gas_used,
        bloom=bloom.to_bytes(BLOOM_BYTES, "big") if bloom else NO_BLOOM,
        ethereum_root=ethereum_root,
    )
