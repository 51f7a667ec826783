"""An engine's end of the ABCI socket: an `Application` that asks another one over it."""

import asyncio
import contextlib
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from services.consensus.abci import (
    AppInfo,
    Block,
    BlockResult,
    Event,
    Genesis,
    InitResult,
    QueryResult,
    TxResult,
    UnknownQuery,
    ValidatorPower,
)
from services.consensus.abci_socket import abci_pb2 as pb
from services.consensus.abci_socket.server import (
    ACCEPT,
    RECHECK,
    AbciServer,
    encode_message,
    read_length,
)
from services.consensus.store import Store

NS_PER_S = 1_000_000_000
TIMEOUT_S = 10
T = TypeVar("T")


class AbciLoop:
    """
    An application that is served, in a loop that runs while somebody asks.

    All is in one thread: the application's store belongs to that of the test.
    """

    def __init__(self, application) -> None:
        self.application = application
        self._directory = tempfile.TemporaryDirectory()
        self.path = Path(self._directory.name) / "abci.sock"
        self._loop = asyncio.new_event_loop()
        self.serving = self._loop.create_task(AbciServer(application).serve(self.path))
        self.run(self._until_listening())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(asyncio.wait_for(work, TIMEOUT_S))

    def close(self) -> None:
        self.serving.cancel()
        with contextlib.suppress(asyncio.CancelledError, ZeroDivisionError):
            self.run(self._ended())
        self._loop.close()
        self._directory.cleanup()

    async def _until_listening(self) -> None:
        while not self.path.exists():
            await asyncio.sleep(0)

    async def _ended(self) -> None:
        await self.serving


class RemoteApplication:
    """Asks over the socket what ABCI has, and the application itself what is ours alone."""

    def __init__(self, served: AbciLoop) -> None:
        self._served, self._local = served, served.application
        self._reader, self._writer = served.run(_connected(served.path))

    def close(self) -> None:
        self._served.run(_closed(self._writer))

    def __getattr__(self, name: str):
        return getattr(self._local, name)

    def ask(self, **value) -> pb.Response:
        return self._served.run(self._ask(pb.Request(**value)))

    async def _ask(self, request: pb.Request) -> pb.Response:
        self._writer.write(encode_message(request) + encode_message(pb.Request(flush=pb.Empty())))
        response = await self._read()
        if response.WhichOneof("value") != "exception":
            assert (await self._read()).WhichOneof("value") == "flush"
        return response

    async def _read(self) -> pb.Response:
        return pb.Response.FromString(
            await self._reader.readexactly(await read_length(self._reader))
        )

    def info(self) -> AppInfo:
        info = self.ask(info=pb.Empty()).info
        return AppInfo(info.last_height, info.last_app_hash, info.app_version)

    def init_chain(self, genesis: Genesis) -> InitResult:
        asked = pb.RequestInitChain(
            time=_time(genesis.time_ns),
            chain_id=genesis.chain_id,
            validators=[
                pb.ValidatorUpdate(pub_key=pb.PublicKey(ed25519=one.public_key), power=one.power)
                for one in genesis.validators
            ],
            app_state=f'"{genesis.document.hex()}"'.encode(),
            initial_height=genesis.initial_height,
        )
        made = self.ask(init_chain=asked).init_chain
        return InitResult(made.app_hash, _powers(made.validators))

    def check_tx(self, tx: bytes, recheck: bool) -> TxResult:
        kind = RECHECK if recheck else 0
        return _result(self.ask(check_tx=pb.RequestCheckTx(tx=tx, kind=kind)).check_tx)

    def prepare_proposal(self, block: Block, max_bytes: int) -> tuple[bytes, ...]:
        votes = [
            pb.ExtendedVote(
                validator=pb.Validator(address=one.address, power=one.power),
                flag=pb.BLOCK_ID_FLAG_COMMIT if one.signed else pb.BLOCK_ID_FLAG_ABSENT,
            )
            for one in block.last_votes
        ]
        asked = pb.RequestPrepareProposal(
            max_tx_bytes=max_bytes,
            txs=block.txs,
            last_votes=pb.ExtendedVotes(votes=votes),
            misbehavior=_misbehavior(block),
            height=block.height,
            time=_time(block.time_ns),
            next_validators_hash=block.next_validators_hash,
            proposer=block.proposer,
        )
        return tuple(self.ask(prepare_proposal=asked).prepare_proposal.txs)

    def process_proposal(self, block: Block) -> bool:
        return self.ask(process_proposal=_block(block)).process_proposal.status == ACCEPT

    def finalize_block(self, block: Block) -> BlockResult:
        made = self.ask(finalize_block=_block(block)).finalize_block
        return BlockResult(
            made.app_hash,
            tuple(map(_result, made.tx_results)),
            _powers(made.validator_updates),
            _events(made.events),
        )

    def commit(self) -> int:
        return self.ask(commit=pb.Empty()).commit.retain_height

    def query(self, path: str, data: bytes, height: int) -> QueryResult:
        answer = self.ask(query=pb.RequestQuery(path=path, data=data, height=height)).query
        if answer.code:
            raise UnknownQuery(answer.log)
        return QueryResult(answer.height, answer.value or None)


def over_a_socket(make: Callable[[Store], Any], stack: contextlib.ExitStack):
    """Make applications that are asked over a socket, all closed with the stack."""

    def make_remote(store: Store) -> RemoteApplication:
        served = AbciLoop(make(store))
        stack.callback(served.close)
        remote = RemoteApplication(served)
        stack.callback(remote.close)
        return remote

    return make_remote


async def _connected(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_unix_connection(path)


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


def _time(time_ns: int) -> pb.Time:
    return pb.Time(seconds=time_ns // NS_PER_S, nanos=time_ns % NS_PER_S)


def _block(block: Block) -> pb.RequestBlock:
    votes = [
        pb.Vote(
            validator=pb.Validator(address=one.address, power=one.power),
            flag=pb.BLOCK_ID_FLAG_COMMIT if one.signed else pb.BLOCK_ID_FLAG_ABSENT,
        )
        for one in block.last_votes
    ]
    return pb.RequestBlock(
        txs=block.txs,
        last_votes=pb.Votes(votes=votes),
        misbehavior=_misbehavior(block),
        hash=block.hash,
        height=block.height,
        time=_time(block.time_ns),
        next_validators_hash=block.next_validators_hash,
        proposer=block.proposer,
    )


def _misbehavior(block: Block) -> list[pb.Misbehavior]:
    return [
        pb.Misbehavior(
            kind=int(one.kind),
            validator=pb.Validator(address=one.address),
            height=one.height,
            time=_time(one.time_ns),
            total_power=one.total_power,
        )
        for one in block.misbehavior
    ]


def _powers(updates) -> tuple[ValidatorPower, ...]:
    return tuple(ValidatorPower(one.pub_key.ed25519, one.power) for one in updates)


def _events(events) -> tuple[Event, ...]:
    return tuple(Event(e.kind, tuple((a.key, a.value) for a in e.attributes)) for e in events)


def _result(made: pb.TxResult) -> TxResult:
    return TxResult(
        made.code, made.data, made.gas_wanted, made.gas_used, made.log, made.codespace,
        _events(made.events),
    )  # fmt: skip
