"""Rounds with made-up transactions, for tests of the index."""

import hashlib

from services.gateway.index.log_filter import bloom_bits
from services.gateway.index.rounds import IndexedRound, index_block
from shared.encoding import cbor
from shared.encoding.quantity import encode_quantity
from shared.types.block import BlockHeader, HeaderType, RoundBlock
from tests.support.fake_compute import RUNTIME_ID


def digest(*parts) -> bytes:
    return hashlib.sha256(repr(parts).encode()).digest()


def make_record(
    seed, *, logs=(), gas_used=21_000, price=100, tip=0, cumulative=0, type_=2
) -> bytes:
    """One result record; `logs` are (address, topics, data)."""
    bloom = 0
    for address, topics, _ in logs:
        for item in (address, *topics):
            bloom |= bloom_bits(item)
    return cbor.encode(
        {
            "hash": digest("tx", seed),
            "sender": digest("sender", seed)[:20],
            "to": digest("to", seed)[:20],
            "nonce": 0,
            "gas": gas_used,
            "gas_price": encode_quantity(price),
            "max_fee": encode_quantity(price),
            "max_tip": encode_quantity(tip),
            "value": b"",
            "type": type_,
            "input": b"",
            "v": b"",
            "r": b"\1",
            "s": b"\1",
            "chain_id": 1,
            "access_list": [],
            "status": 1,
            "gas_used": gas_used,
            "cumulative_gas_used": cumulative or gas_used,
            "effective_gas_price": encode_quantity(price),
            "logs": [[address, list(topics), data] for address, topics, data in logs],
            "bloom": bloom.to_bytes(256, "big"),
            "contract_address": None,
            "output": b"",
            "error": None,
            "encrypted": False,
        }
    )


def make_round(number, *records: bytes, previous: bytes = bytes(32), fork=0) -> IndexedRound:
    header = BlockHeader(
        version=1,
        namespace=RUNTIME_ID,
        round=number,
        timestamp=1_700_000_000 + number,
        header_type=HeaderType.NORMAL,
        previous_hash=previous,
        io_root=digest("io", number, fork),
        state_root=digest("state", number, fork),
    )
    return index_block(RoundBlock(header, (b"raw",) * len(records), records))


def make_chain(length, records=lambda _: (), start=0) -> list[IndexedRound]:
    """Rounds that link; `records` gives those of a number."""
    chain: list[IndexedRound] = []
    for number in range(start, start + length):
        previous = chain[-1].hash if chain else bytes(32)
        chain.append(make_round(number, *records(number), previous=previous))
    return chain
