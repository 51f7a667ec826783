"""
Recording a network with a seed, and running a recording again (ADR 0040).

In such a network nothing hangs on the clock: what clients and dev controls did can be told from the
rounds alone, and the same done once more must make the same rounds.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from qanat.node_client import NodeClient
from qanat.observe import Running, wait_for_epoch
from qanat.recording import RecordedRound, Recording
from shared.api.compute import ComputeApi, compute_client
from shared.api.consensus import ConsensusApi, consensus_client
from shared.encoding.record import decode_record
from shared.errors import Rejected
from shared.types.block import BlockHeader, HeaderType, results_of
from shared.types.evm import EvmGenesis
from shared.types.identity import Round, RuntimeId

ROUND_TIMEOUT_S = 30.0
"""How long a round may take to be made again [s]."""
POLL_S = 0.005


class NotReplayable(Rejected, module="launcher", code=22):
    """The run hangs on chance or on the clock, or a part of it is gone."""


class RunsDiffer(Rejected, module="launcher", code=23):
    """A round came out differently."""


@dataclass(frozen=True, slots=True)
class Nodes:
    """Who is asked, about one ParaTime."""

    runtime_id: RuntimeId
    consensus: ConsensusApi
    compute: tuple[ComputeApi, ...]


async def record(running: Running, paratime: str) -> tuple[RecordedRound, ...]:
    """
    Read every round of a ParaTime.

    Raises
    ------
    NotReplayable
        The network has no seed, or a node holds its first rounds no longer.
    """
    async with _nodes_of(running, paratime) as nodes:
        if not (await nodes.consensus.fetch_mining(nodes.runtime_id)).is_step_exact:
            raise NotReplayable("only a network that was started with --seed makes the same rounds")
        head = await nodes.consensus.fetch_last_block(nodes.runtime_id)
        count = 0 if head is None else head.round + 1
        return tuple([await _read(nodes, Round(number)) for number in range(count)])


async def charges_as_ethereum(running: Running, paratime: str) -> bool:
    """Say whether a ParaTime is an EVM that charges gas as Ethereum does, by its genesis."""
    if not running.network.find_paratime(paratime).is_evm:
        return False
    async with _nodes_of(running, paratime) as nodes:
        descriptor = await nodes.consensus.fetch_runtime(nodes.runtime_id)
    genesis = None if descriptor is None else descriptor.genesis
    return genesis is not None and not decode_record(EvmGenesis, genesis).charges_for_size


async def replay(running: Running, recording: Recording, told: Callable[[int], None]) -> None:
    """
    Do in a fresh network what the recording tells; `told` hears of each round that was the same.

    Raises
    ------
    RunsDiffer
        A round came out differently: the first that did, and in what.
    NotReplayable
        What made a round cannot be done again.
    """
    async with _nodes_of(running, recording.paratime) as nodes:
        await nodes.consensus.set_mining(nodes.runtime_id, automine=False, interval_ms=None)
        head = await nodes.consensus.fetch_last_block(nodes.runtime_id)
        made = -1 if head is None else head.round
        following = (*recording.rounds[1:], None)
        before = None
        for wanted, after in zip(recording.rounds, following, strict=True):
            if wanted.header.round > made:
                await _make(running, nodes, before, wanted, after)
            await _compare(nodes, wanted)
            told(wanted.header.round)
            before = wanted


@asynccontextmanager
async def _nodes_of(running: Running, paratime: str) -> AsyncIterator[Nodes]:
    runtime_id = running.network.find_paratime(paratime).id
    (consensus,) = running.plans_of("consensus")
    plans = [one for one in running.plans_of("compute") if paratime in one.paratimes]
    async with AsyncExitStack() as stack:
        asked = await stack.enter_async_context(NodeClient(consensus, dev_token=running.dev_token))
        nodes = [
            await stack.enter_async_context(NodeClient(plan, runtime_id=runtime_id))
            for plan in plans
        ]
        yield Nodes(
            RuntimeId(bytes.fromhex(runtime_id)),
            consensus_client(asked),
            tuple(map(compute_client, nodes)),
        )


async def _read(nodes: Nodes, number: Round) -> RecordedRound:
    block = await nodes.compute[0].fetch_round(number)
    epoch = await nodes.consensus.fetch_round_epoch(nodes.runtime_id, number)
    if block is None or epoch is None:
        raise NotReplayable(f"round {number} is not held any longer")
    return RecordedRound(block.header, epoch, block.transactions, block.results)


async def _make(
    running: Running,
    nodes: Nodes,
    before: RecordedRound | None,
    wanted: RecordedRound,
    after: RecordedRound | None,
) -> None:
    """Do what made a round."""
    if before is None:
        raise NotReplayable("the network has not made its first round")
    header = wanted.header
    match header.header_type:
        case HeaderType.NORMAL:
            await _submit(nodes, wanted)
        case HeaderType.ROUND_FAILED:
            ahead_s = header.timestamp - before.header.timestamp
            if after is not None and after.header.timestamp == header.timestamp:
                # A chosen timestamp stays until a round with transactions has used it.
                await nodes.consensus.set_next_timestamp(nodes.runtime_id, header.timestamp)
            elif ahead_s == 1:
                await nodes.consensus.mine_rounds(nodes.runtime_id, 1)
            else:
                await nodes.consensus.move_time(ahead_s * 1000)
        case _ if wanted.epoch > before.epoch:
            for _ in range(before.epoch, wanted.epoch):
                await wait_for_epoch(running, await nodes.consensus.advance_epoch(1))
        case _:
            raise NotReplayable(f"round {header.round} began a committee within an epoch")


async def _submit(nodes: Nodes, wanted: RecordedRound) -> None:
    # To every node: whichever proposes must not have to wait for another's gossip.
    for node in nodes.compute:
        for answer in await node.submit_transactions(wanted.transactions):
            if answer.module:
                raise RunsDiffer(
                    f"round {wanted.header.round}: a transaction is refused: {answer.message}"
                )
    await nodes.consensus.mine_waiting(nodes.runtime_id)


async def _compare(nodes: Nodes, wanted: RecordedRound) -> None:
    number = wanted.header.round
    header = await _header(nodes, number)
    if header == wanted.header:
        await _until_level(nodes, number)
        return
    names = ("header_type", "timestamp", "io_root", "state_root", "previous_hash")
    name = next((one for one in names if _of(header, one) != _of(wanted.header, one)), "header")
    found, expected = _of(header, name), _of(wanted.header, name)
    position = await _first_difference(nodes, wanted)
    where = "" if position is None else f", first in transaction {position}"
    raise RunsDiffer(f"round {number} differs{where}: {name} is {found}, recorded was {expected}")


async def _header(nodes: Nodes, number: Round) -> BlockHeader:
    """Header of a round, once it is there."""

    async def is_there() -> bool:
        return await nodes.consensus.fetch_round_header(nodes.runtime_id, number) is not None

    await _until(is_there, number)
    header = await nodes.consensus.fetch_round_header(nodes.runtime_id, number)
    if header is None:
        raise NotReplayable(f"somebody else rewound the network at round {number}")
    return header


async def _until_level(nodes: Nodes, number: Round) -> None:
    """Wait until every node has a round: what comes next is checked on its state."""
    for node in nodes.compute:

        async def is_level(node: ComputeApi = node) -> bool:
            return (await node.fetch_status()).round >= number

        await _until(is_level, number)


async def _until(is_true: Callable[[], Awaitable[bool]], number: Round) -> None:
    deadline = asyncio.get_running_loop().time() + ROUND_TIMEOUT_S
    while not await is_true():
        if asyncio.get_running_loop().time() > deadline:
            raise RunsDiffer(f"round {number} was not made within {ROUND_TIMEOUT_S:g} s")
        await asyncio.sleep(POLL_S)


async def _first_difference(nodes: Nodes, wanted: RecordedRound) -> int | None:
    block = await nodes.compute[0].fetch_round(wanted.header.round)
    if block is None:
        return None
    of_transactions = wanted.results[: len(wanted.transactions)]
    pairs = itertools.zip_longest(results_of(block), of_transactions)
    return next((at for at, (found, expected) in enumerate(pairs) if found != expected), None)


def _of(header: BlockHeader, name: str) -> str:
    value = getattr(header, name, None)
    return f"0x{value.hex()}" if isinstance(value, bytes) else str(value)
