"""Calls and blocks as simulations take them, and what clients see of their outcomes. Pure."""

from dataclasses import dataclass

from services.gateway.authorizations import show_authorizations
from services.gateway.index.fees import BLOCK_GAS_LIMIT
from services.gateway.rlp import quantity
from services.gateway.rpc.errors import REVERT_CODE, revert_reason
from services.gateway.rpc.objects import CallRequest
from services.gateway.rpc.shapes import (
    EMPTY_ROOT,
    EMPTY_UNCLES,
    NO_NONCE,
    ZERO_HASH,
    Json,
    show_bytes,
)
from shared.crypto.hashes import keccak256

HALT_CODE = -32015
"""Of a call that halted. Source: execution-apis, `eth_simulateV1`."""
NOBODY = bytes(20)


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


@dataclass(frozen=True, slots=True)
class SimulatedBlock:
    """A block that never was. Its hashes are those of what is known of it, and of no chain."""

    number: int
    time: int
    """[s]"""
    overrides: Json
    state: Json
    calls: tuple[CallRequest, ...]

    def request(self) -> Json:
        """Give it in the JSON that the enclave reads."""
        seen = {"number": hex(self.number), "time": hex(self.time)}
        return {
            "block": self.overrides | seen,
            "state": self.state,
            "calls": list(map(show_call, self.calls)),
        }

    def hash(self, parent_hash: bytes) -> bytes:
        """Hash by which logs and the next block name it."""
        number, time = quantity(self.number).rjust(8, b"\0"), quantity(self.time).rjust(8, b"\0")
        return keccak256(b"qanat: simulated block" + parent_hash + number + time)

    def show(self, outcomes: list[Json], parent_hash: bytes, *, with_bodies: bool) -> Json:
        """Block with the outcomes of its calls."""
        own_hash = self.hash(parent_hash)
        hashes = [keccak256(own_hash + quantity(i)) for i in range(len(self.calls))]
        first_log = 0
        calls = []
        for position, (outcome, hash_) in enumerate(zip(outcomes, hashes, strict=True)):
            calls.append(self._show_outcome(outcome, own_hash, position, hash_, first_log))
            first_log += len(outcome["logs"])
        bodies = [
            self._show_body(call, own_hash, position, hash_)
            for position, (call, hash_) in enumerate(zip(self.calls, hashes, strict=True))
        ]
        return {
            "number": hex(self.number),
            "hash": show_bytes(own_hash),
            "parentHash": show_bytes(parent_hash),
            "timestamp": hex(self.time),
            "gasLimit": self.overrides.get("gasLimit", hex(BLOCK_GAS_LIMIT)),
            "gasUsed": hex(sum(one["gasUsed"] for one in outcomes)),
            "baseFeePerGas": self.overrides.get("baseFeePerGas", "0x0"),
            "miner": self.overrides.get("feeRecipient", show_bytes(NOBODY)),
            "mixHash": self.overrides.get("prevRandao", ZERO_HASH),
            "difficulty": "0x0",
            "totalDifficulty": "0x0",
            "extraData": "0x",
            "logsBloom": "0x" + "00" * 256,
            "nonce": NO_NONCE,
            "receiptsRoot": EMPTY_ROOT,
            "sha3Uncles": EMPTY_UNCLES,
            "size": "0x0",
            "stateRoot": ZERO_HASH,
            "transactionsRoot": EMPTY_ROOT,
            "transactions": bodies if with_bodies else list(map(show_bytes, hashes)),
            "uncles": [],
            "withdrawals": [],
            "calls": calls,
        }

    def _show_outcome(
        self, outcome: Json, own_hash: bytes, position: int, hash_: bytes, first_log: int
    ) -> Json:
        shown: Json = {
            "status": hex(outcome["status"]),
            "returnData": outcome["output"],
            "gasUsed": hex(outcome["gasUsed"]),
            "logs": [
                {
                    "address": log["address"],
                    "topics": log["topics"],
                    "data": log["data"],
                    "blockNumber": hex(self.number),
                    "blockHash": show_bytes(own_hash),
                    "blockTimestamp": hex(self.time),
                    "transactionHash": show_bytes(hash_),
                    "transactionIndex": hex(position),
                    "logIndex": hex(first_log + index),
                    "removed": False,
                }
                for index, log in enumerate(outcome["logs"])
            ],
        }
        failure = describe_failure(outcome)
        return shown if failure is None else shown | {"error": failure}

    def _show_body(self, call: CallRequest, own_hash: bytes, position: int, hash_: bytes) -> Json:
        return {
            "hash": show_bytes(hash_),
            "blockHash": show_bytes(own_hash),
            "blockNumber": hex(self.number),
            "transactionIndex": hex(position),
            "from": show_bytes(call.caller or NOBODY),
            "to": None if call.to is None else show_bytes(call.to),
            "gas": hex(BLOCK_GAS_LIMIT if call.gas is None else call.gas),
            "gasPrice": hex(call.gas_price or 0),
            "value": hex(call.value or 0),
            "input": show_bytes(call.data),
            "type": "0x0",
        }
