"""
A recorded run: the network file, and every round of one ParaTime with its transactions.

A file of lines of JSON: first what it is, then a round each, so that a text tool shows where two
runs part. It holds no secret: who replays it gives the seed.
"""

import itertools
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.encoding.record import decode_record, encode_record
from shared.errors import Rejected
from shared.types.block import BlockHeader
from shared.types.identity import Epoch

KIND, FORMAT = "qanat-recording", 1
MAX_LINE_BYTES = 16 * 1024 * 1024
"""Of one round: twice what a full batch of transactions takes in hex, and more."""


class BadRecording(Rejected, module="launcher", code=21):
    """The file is no recording, or was changed."""


@dataclass(frozen=True, slots=True)
class RecordedRound:
    """One round."""

    header: BlockHeader
    epoch: Epoch
    """In which it was finalized."""
    transactions: tuple[bytes, ...] = ()
    """Raw, in order."""
    results: tuple[bytes, ...] = ()
    """One result of the runtime per transaction."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A run from genesis on."""

    network: str
    """Text of the network file."""
    paratime: str
    rounds: tuple[RecordedRound, ...]
    has_ethereum_gas: bool = False
    """Whether the chain charges gas as Ethereum does; the file alone does not say so."""


def write_recording(file: Path, recording: Recording) -> None:
    """Write a file; one that is there is replaced when the new one is whole."""
    head = {
        "kind": KIND,
        "format": FORMAT,
        "paratime": recording.paratime,
        "network": recording.network,
        "ethereum_gas": recording.has_ethereum_gas,
    }
    unfinished = file.with_name(f".{file.name}.new")
    with unfinished.open("w") as lines:
        lines.write(json.dumps(head) + "\n")
        lines.writelines(json.dumps(_to_json(one)) + "\n" for one in recording.rounds)
    unfinished.rename(file)


def read_recording(file: Path) -> Recording:
    """
    Read a file whose rounds follow each other from genesis on.

    Raises
    ------
    BadRecording
        See the class.
    """
    try:
        with file.open() as lines:
            read = _bounded(lines)
            head = json.loads(next(read, "{}"))
            if head.get("kind") != KIND or head.get("format") != FORMAT:
                raise BadRecording(f"{file}: no recording of format {FORMAT}")
            network, paratime = str(head["network"]), str(head["paratime"])
            has_ethereum_gas = bool(head.get("ethereum_gas", False))
            rounds = tuple(_from_json(json.loads(line)) for line in read)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, Rejected) as error:
        raise BadRecording(f"{file}: {error}") from error
    _verify_follow(rounds)
    return Recording(network, paratime, rounds, has_ethereum_gas)


def _bounded(lines: Iterable[str]) -> Iterator[str]:
    read = lines.readline  # type: ignore[attr-defined]
    while line := read(MAX_LINE_BYTES):
        if not line.endswith("\n"):
            raise BadRecording("the file breaks off, or a line is too long")
        yield line


def _verify_follow(rounds: tuple[RecordedRound, ...]) -> None:
    headers = [one.header for one in rounds]
    if not headers or headers[0].round != 0:
        raise BadRecording("a recording begins with round 0")
    for header, child in itertools.pairwise(headers):
        if child.round != header.round + 1 or child.previous_hash != header.hash():
            raise BadRecording(f"round {child.round} does not follow round {header.round}")


def _to_json(one: RecordedRound) -> dict[str, Any]:
    return {
        "round": one.header.round,
        "hash": one.header.hash().hex(),
        "type": one.header.header_type.name,
        "epoch": one.epoch,
        "header": encode_record(one.header).hex(),
        "transactions": [raw.hex() for raw in one.transactions],
        "results": [raw.hex() for raw in one.results],
    }


def _from_json(line: dict[str, Any]) -> RecordedRound:
    header = decode_record(BlockHeader, bytes.fromhex(line["header"]))
    if header.hash().hex() != line["hash"]:
        raise BadRecording(f"round {header.round} does not have the hash that its line says")
    return RecordedRound(
        header,
        Epoch(int(line["epoch"])),
        tuple(map(bytes.fromhex, line["transactions"])),
        tuple(map(bytes.fromhex, line["results"])),
    )
