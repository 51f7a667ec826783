"""
The recorded files of `eth_simulateV1`, put to a ParaTime that stands where their chain stands.

A ParaTime is no chain of Ethereum: roots, hashes and the base fee are its own. What calls do, and
why a simulation is refused, must be the same.
"""

import json
from collections.abc import Iterator
from typing import Any

from tests.support.execution_apis import RecordedFile

Json = dict[str, Any]

HEAD = 54
"""Number of the newest block of the recorded chain."""
HEAD_TIME_S = 540
OF_A_CALL = ("status", "returnData", "gasUsed")


def outcome_of(answer: Json) -> Any:
    """What counts of an answer: the code of a refusal, or what became of each call."""
    if "error" in answer:
        return answer["error"]["code"]
    return [[_of_call(call) for call in block["calls"]] for block in answer["result"]]


def _of_call(call: Json) -> Json:
    shown = {name: call[name] for name in OF_A_CALL}
    shown["logs"] = [
        {name: log[name] for name in ("address", "topics", "data")} for log in call["logs"]
    ]
    if "error" in call:
        shown["error"] = call["error"]["code"]
    return shown


def differing(answer: Json, recorded: Json) -> Iterator[str]:
    """Where an answer differs from the recorded one in what counts."""
    got, wanted = outcome_of(answer), outcome_of(recorded)
    if got != wanted:
        yield f"{json.dumps(got)} is not {json.dumps(wanted)}"


def accounts_of(genesis: Json) -> list[tuple[bytes, int, int, bytes, list[tuple[int, int]]]]:
    """Give the accounts of a genesis: address, balance, nonce, code, slots."""
    return [
        (
            bytes.fromhex(address.removeprefix("0x")),
            int(one.get("balance", "0x0"), 0),
            int(one.get("nonce", "0x0"), 0),
            bytes.fromhex(one.get("code", "0x")[2:]),
            [(int(slot, 16), int(value, 16)) for slot, value in one.get("storage", {}).items()],
        )
        for address, one in genesis["alloc"].items()
    ]


def simulations(files: list[RecordedFile]) -> list[RecordedFile]:
    """Those of `eth_simulateV1`."""
    return [one for one in files if one.method == "eth_simulateV1"]
