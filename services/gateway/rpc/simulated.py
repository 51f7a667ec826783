"""Calls and blocks as simulations take them, and what clients see of their outcomes. Pure."""

from dataclasses import dataclass

from services.gateway.authorizations import SET_CODE, show_authorizations
from services.gateway.index.log_filter import bloom_bits
from services.gateway.index.record import BLOOM_BYTES
from services.gateway.pooled import PooledTransaction
from services.gateway.rpc.errors import REVERT_CODE, revert_reason
from services.gateway.rpc.objects import CallRequest
from services.gateway.rpc.shapes import (
    EMPTY_ROOT,
    EMPTY_UNCLES,
    NO_NONCE,
    ZERO_HASH,
    Json,
    show_bytes,
    show_pooled,
)
from services.gateway.transactions import (
    LEGACY,
    WITH_TIP,
    Unsigned,
    Wanted,
    encode_unsigned,
    pooled_of,
)
from shared.crypto.hashes import keccak256
from shared.encoding.quantity import encode_quantity

HALT_CODE = -32015
"""Of a call that halted. Source: execution-apis, `eth_simulateV1`."""
NOBODY = bytes(20)
WITHDRAWALS = "withdrawals"


def show_call(request: CallRequest) -> Json:
    """Give a call in the JSON that the enclave reads."""
    call: Json = {"data": show_bytes(request.data)}
    if request.caller is not None:
        call["from"] = show_bytes(request.caller)
    if request.to is not None:
        call["to"] = show_bytes(request.to)
    if request.authorizations:
        call["authorizationList"] = show_authorizations(request.authorizations)
    numbers = {"gas": request.gas, "gasPrice": request.gas_price, "value": request.value}
    return call | {name: hex(one) for name, one in numbers.items() if one is not None}


def describe_failure(outcome: Json) -> Json | None:
    """Give the error of a call's outcome; None for a success."""
    if outcome["status"]:
        return None
    if outcome["halt"] is not None:
        return {"code": HALT_CODE, "message": outcome["halt"]}
    reason = revert_reason(bytes.fromhex(outcome["output"][2:]))
    message = "execution reverted" if reason is None else f"execution reverted: {reason}"
    return {"code": REVERT_CODE, "message": message, "data": outcome["output"]}


def show_wanted(wanted: Wanted) -> Json:
    """Give a call with what it offers, in the JSON that the enclave reads."""
    numbers = {
        "nonce": wanted.nonce,
        "chainId": wanted.chain_id,
        "maxFeePerGas": wanted.max_fee,
        "maxPriorityFeePerGas": wanted.max_tip,
    }
    offered = {name: hex(one) for name, one in numbers.items() if one is not None}
    return show_call(wanted.call) | offered


@dataclass(frozen=True, slots=True)
class SimulatedBlock:
    """A block that never was. Its hashes are those of what is known of it, and of no chain."""

    number: int
    time: int
    """[s]"""
    overrides: Json
    state: Json
    calls: tuple[Wanted, ...]

    def request(self, parent: int, parent_hash: bytes) -> Json:
        """Give it in the JSON that the enclave reads; contracts see its parent's hash."""
        overrides = {name: one for name, one in self.overrides.items() if name != WITHDRAWALS}
        hashes = overrides.get("blockHash") or {}
        seen = {
            "number": hex(self.number),
            "time": hex(self.time),
            "blockHash": {str(parent): show_bytes(parent_hash)} | hashes,
        }
        return {
            "block": overrides | seen,
            "state": self.state,
            "calls": list(map(show_wanted, self.calls)),
            WITHDRAWALS: self._withdrawals,
        }

    @property
    def _withdrawals(self) -> list[Json]:
        withdrawals: list[Json] = self.overrides.get(WITHDRAWALS) or []
        return withdrawals

    def hash(self, parent_hash: bytes) -> bytes:
        """Hash by which logs and the next block name it."""
        number, time = (
            encode_quantity(self.number).rjust(8, b"\0"),
            encode_quantity(self.time).rjust(8, b"\0"),
        )
        return keccak256(b"qanat: simulated block" + parent_hash + number + time)

    def show(self, ran: Json, parent_hash: bytes, *, with_bodies: bool) -> Json:
        """Block with what its calls saw of it and the outcomes of them."""
        own_hash, seen, outcomes = self.hash(parent_hash), ran["block"], ran["calls"]
        transactions = [
            _transaction(call, outcome, seen)
            for call, outcome in zip(self.calls, outcomes, strict=True)
        ]
        places: list[Json] = [
            {
                "blockHash": show_bytes(own_hash),
                "blockNumber": hex(self.number),
                "blockTimestamp": hex(self.time),
                "transactionIndex": hex(position),
            }
            for position in range(len(outcomes))
        ]
        bodies = [
            _known(show_pooled(one)) | place | {"gasPrice": outcome["gasPrice"]}
            for one, outcome, place in zip(transactions, outcomes, places, strict=True)
        ]
        hashes = [show_bytes(one.hash) for one in transactions]
        return {
            "number": hex(self.number),
            "hash": show_bytes(own_hash),
            "parentHash": show_bytes(parent_hash),
            "timestamp": hex(self.time),
            "gasLimit": seen["gasLimit"],
            "gasUsed": hex(sum(one["gasUsed"] for one in outcomes)),
            "baseFeePerGas": seen["baseFeePerGas"],
            "miner": seen["miner"],
            "mixHash": seen["mixHash"],
            "difficulty": seen["difficulty"],
            "totalDifficulty": "0x0",
            "extraData": "0x",
            "logsBloom": show_bytes(_bloom(outcomes)),
            "nonce": NO_NONCE,
            "receiptsRoot": EMPTY_ROOT,
            "sha3Uncles": EMPTY_UNCLES,
            "size": "0x0",
            "stateRoot": ZERO_HASH,
            "transactionsRoot": EMPTY_ROOT,
            "transactions": bodies if with_bodies else hashes,
            "uncles": [],
            "withdrawals": self._withdrawals,
            "calls": list(map(_show_outcome, outcomes, places, hashes)),
        }


def _transaction(call: Wanted, outcome: Json, seen: Json) -> PooledTransaction:
    """
    Give the transaction that a call would be, with what it left out, and an empty signature.

    Source: go-ethereum internal/ethapi/transaction_args.go (`ToTransaction`).
    """
    request = call.call
    has_price = request.gas_price is not None
    has_code = bool(request.authorizations) and not has_price
    unsigned = Unsigned(
        type=LEGACY if has_price else SET_CODE if has_code else WITH_TIP,
        nonce=outcome["nonce"],
        gas=outcome["gasLimit"],
        max_fee=(request.gas_price if has_price else call.max_fee) or 0,
        max_tip=call.max_tip or 0,
        to=request.to,
        value=request.value or 0,
        input=request.data,
        # As go-ethereum: an old one is without its chain.
        chain_id=None if has_price else int(seen["chainId"], 16),
        access_list=None if has_price else call.accesses or (),
        authorizations=request.authorizations if has_code else (),
    )
    hash_ = keccak256(encode_unsigned(unsigned))
    return pooled_of(unsigned, hash_, request.caller or NOBODY)


def _known(shown: Json) -> Json:
    """Leave out an old transaction's chain, as go-ethereum does."""
    return {name: one for name, one in shown.items() if (name, one) != ("chainId", None)}


def _bloom(outcomes: list[Json]) -> bytes:
    bits = 0
    for outcome in outcomes:
        for log in outcome["logs"]:
            for item in (log["address"], *log["topics"]):
                bits |= bloom_bits(bytes.fromhex(item[2:]))
    return bits.to_bytes(BLOOM_BYTES, "big")


def _show_outcome(outcome: Json, place: Json, hash_: str) -> Json:
    shown: Json = {
        "status": hex(outcome["status"]),
        "returnData": outcome["output"] if outcome["status"] else "0x",
        "gasUsed": hex(outcome["gasUsed"]),
        "maxUsedGas": hex(outcome["maxUsedGas"]),
        "logs": [
            {
                "address": log["address"],
                "topics": log["topics"],
                "data": log["data"],
                **place,
                "transactionHash": hash_,
                "logIndex": hex(log["index"]),
                "removed": False,
            }
            for log in outcome["logs"]
        ],
    }
    failure = describe_failure(outcome)
    return shown if failure is None else shown | {"error": failure}
