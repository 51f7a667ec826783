"""
Turns what stands on the ABCI socket into what the application takes, and back.

Protobuf ends here: nothing behind this module knows it.
"""

from collections.abc import Iterable

import orjson

from services.consensus.abci import (
    AppInfo,
    Block,
    BlockResult,
    Event,
    Genesis,
    InitResult,
    Misbehavior,
    MisbehaviorKind,
    QueryResult,
    TxResult,
    ValidatorPower,
    Vote,
)
from services.consensus.abci_socket import abci_pb2 as pb
from shared.errors import Rejected

NS_PER_S = 1_000_000_000
NAME = "qanat"


class MalformedRequest(Rejected, module="consensus", code=10):
    """The engine sent something that the application cannot take."""


# -- what the engine asks --------------------------------------------------------------------------


def read_genesis(asked: pb.RequestInitChain) -> Genesis:
    """
    Read the genesis of a chain.

    The document stands in the engine's `app_state` as one JSON text: hex of its canonical CBOR.

    Raises
    ------
    MalformedRequest
        There is no such text, or a validator's key is no Ed25519 key.
    """
    try:
        document = bytes.fromhex(orjson.loads(asked.app_state))
    except (ValueError, TypeError) as error:
        raise MalformedRequest("app_state must be a text: hex of the genesis document") from error
    return Genesis(
        chain_id=asked.chain_id,
        time_ns=_read_time(asked.time),
        initial_height=asked.initial_height or 1,
        validators=tuple(
            ValidatorPower(_read_key(one.pub_key), one.power) for one in asked.validators
        ),
        document=document,
    )


def read_block(asked: pb.RequestPrepareProposal | pb.RequestBlock) -> Block:
    """Read a block: one to choose transactions for, which has no hash yet, or a proposed one."""
    return Block(
        height=asked.height,
        time_ns=_read_time(asked.time),
        txs=tuple(asked.txs),
        proposer=asked.proposer,
        last_votes=_read_votes(asked.last_votes.votes),
        misbehavior=_read_misbehavior(asked.misbehavior),
        hash=asked.hash if isinstance(asked, pb.RequestBlock) else b"",
        next_validators_hash=asked.next_validators_hash,
    )


def _read_time(time: pb.Time) -> int:
    return time.seconds * NS_PER_S + time.nanos


def _read_key(key: pb.PublicKey) -> bytes:
    if len(key.ed25519) != 32:
        raise MalformedRequest("validators have Ed25519 keys of 32 bytes")
    return key.ed25519


def _read_votes(votes: Iterable[pb.Vote] | Iterable[pb.ExtendedVote]) -> tuple[Vote, ...]:
    return tuple(
        Vote(one.validator.address, one.validator.power, one.flag != pb.BLOCK_ID_FLAG_ABSENT)
        for one in votes
    )


def _read_misbehavior(proven: Iterable[pb.Misbehavior]) -> tuple[Misbehavior, ...]:
    try:
        return tuple(
            Misbehavior(
                MisbehaviorKind(one.kind),
                one.validator.address,
                one.height,
                _read_time(one.time),
                one.total_power,
            )
            for one in proven
        )
    except ValueError as error:
        raise MalformedRequest(f"an unknown kind of misbehavior: {error}") from error


# -- what the application answers ------------------------------------------------------------------


def show_info(info: AppInfo) -> pb.ResponseInfo:
    """Say where the application stands."""
    return pb.ResponseInfo(
        data=NAME,
        app_version=info.version,
        last_height=info.height,
        last_app_hash=info.app_hash,
    )


def show_init(result: InitResult) -> pb.ResponseInitChain:
    """Say what the genesis made."""
    validators = _show_validators(result.validators)
    return pb.ResponseInitChain(validators=validators, app_hash=result.app_hash)


def show_transaction(result: TxResult) -> pb.TxResult:
    """Say what became of a transaction."""
    return pb.TxResult(
        code=result.code,
        data=result.data,
        log=result.log,
        gas_wanted=result.gas_wanted,
        gas_used=result.gas_used,
        events=_show_events(result.events),
        codespace=result.codespace,
    )


def show_block(result: BlockResult) -> pb.ResponseFinalizeBlock:
    """Say what a decided block made."""
    return pb.ResponseFinalizeBlock(
        events=_show_events(result.events),
        tx_results=[show_transaction(one) for one in result.tx_results],
        validator_updates=_show_validators(result.validator_updates),
        app_hash=result.app_hash,
    )


def show_query(key: bytes, result: QueryResult) -> pb.ResponseQuery:
    """Answer a query; the value is empty where there is none."""
    return pb.ResponseQuery(key=key, value=result.value or b"", height=result.height)


def _show_validators(powers: Iterable[ValidatorPower]) -> list[pb.ValidatorUpdate]:
    return [
        pb.ValidatorUpdate(pub_key=pb.PublicKey(ed25519=one.public_key), power=one.power)
        for one in powers
    ]


def _show_events(events: Iterable[Event]) -> list[pb.Event]:
    return [
        pb.Event(
            kind=event.kind,
            attributes=[pb.Attribute(key=key, value=value) for key, value in event.attributes],
        )
        for event in events
    ]
