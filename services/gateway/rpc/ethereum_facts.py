"""Fees, forks, uncles and logs of an imported chain of Ethereum; of the profile `ethereum`."""

import zlib
from typing import Any

from services.gateway.imported.chain import ImportedChain
from services.gateway.index.chain_index import ChainIndex
from services.gateway.index.fees import RoundFees
from services.gateway.index.record import number
from services.gateway.index.rounds import EthereumBlock, IndexedRound
from services.gateway.rpc.block_ids import find_block, resolve_number
from services.gateway.rpc.errors import INVALID_PARAMETERS_CODE, EthereumRejected
from services.gateway.rpc.eth_config import ETHEREUM, ETHEREUM_ONLY, P256VERIFY
from services.gateway.rpc.log_range import query_logs
from services.gateway.rpc.methods import rpc_method
from services.gateway.rpc.objects import LogQuery, log_query
from services.gateway.rpc.parameters import (
    BlockId,
    Tag,
    block_id,
    count,
    optional,
    percentiles,
    quantity64,
    whole_hash,
)
from services.gateway.rpc.shapes import Json, show_bytes

MAX_HISTORY = 1024
"""Blocks of one fee history. Source: go-ethereum eth/gasprice."""
SYSTEM_CONTRACTS = {
    "BEACON_ROOTS_ADDRESS": "0x000f3df6d732807ef1319fb7b8bb8522d0beac02",
    "CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS": "0x0000bbddc7ce488642fb579f8b00f3a590007251",
    "HISTORY_STORAGE_ADDRESS": "0x0000f90827f1c53a10cb7a02335b175320002935",
    "WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS": "0x00000961ef480eb55e80d19ad83579a64c007002",
}
"""Source: EIP-4788, 7251, 2935, 7002; names of EIP-7910."""
BLOB_FORKS = ("cancun", "prague", "osaka", "bpo1", "bpo2", "bpo3", "bpo4", "bpo5")


class EthereumFactMethods:
    """Answers that take the place of those of the profile `strict`."""

    def __init__(self, index: ChainIndex, chain: ImportedChain) -> None:
        self._index, self._chain = index, chain

    # -- fees ----------------------------------------------------------------------------------

    @rpc_method("eth_baseFee")
    async def base_fee(self) -> str:
        """Base fee of the block that would follow [wei/gas]."""
        return hex(_of(self._index.require_newest()).next_base_fee_wei)

    @rpc_method("eth_blobBaseFee")
    async def blob_base_fee(self) -> str:
        """Price of blobs in the last block [wei/gas]."""
        return hex(_of(self._index.require_newest()).blob_fee_wei)

    @rpc_method("eth_gasPrice")
    async def gas_price(self) -> str:
        """Price that would do [wei/gas]: no block follows, so that nobody asks for a tip."""
        return hex(_of(self._index.require_newest()).next_base_fee_wei)

    @rpc_method("eth_maxPriorityFeePerGas")
    async def max_priority_fee_per_gas(self) -> str:
        """None."""
        return "0x0"

    @rpc_method("eth_feeHistory", count, block_id, optional(percentiles, ()))
    async def fee_history(self, count: int, last: BlockId, percentiles: tuple[float, ...]) -> Json:
        """Fees and blob fees of blocks, and of the one that would follow them."""
        newest = self._index.require_newest()
        end = (
            newest.number
            if last in (Tag.SAFE, Tag.FINALIZED)
            else resolve_number(self._index, last)
        )
        if end > newest.number:
            why = f"request beyond head block: requested {end}, head {newest.number}"
            raise EthereumRejected(why)
        _check_percentiles(percentiles)
        first = max(end - min(count, MAX_HISTORY) + 1, 0)
        blocks = self._chain.blocks[first : end + 1]
        if not blocks:
            return {"oldestBlock": "0x0", "gasUsedRatio": None}
        shown = [_of(one).shown for one in blocks]
        ending = _of(blocks[-1])
        history = {
            "oldestBlock": hex(first),
            "baseFeePerGas": [hex(_of(one).base_fee_wei) for one in blocks]
            + [hex(ending.next_base_fee_wei)],
            "gasUsedRatio": [int(one["gasUsed"], 16) / int(one["gasLimit"], 16) for one in shown],
            "baseFeePerBlobGas": [hex(_of(one).blob_fee_wei) for one in blocks]
            + [hex(ending.next_blob_fee_wei)],
            "blobGasUsedRatio": [_blob_ratio(_of(one)) for one in blocks],
        }
        if percentiles:
            history["reward"] = [
                [hex(tip) for tip in _fees(one).percentile_tips(percentiles)] for one in blocks
            ]
        return history

    # -- forks ---------------------------------------------------------------------------------

    @rpc_method("eth_config")
    async def config(self) -> Json:
        """Forks around the last block (EIP-7910)."""
        config, now = self._chain.config, self._index.require_newest().header.timestamp
        times = sorted({config[f"{fork}Time"] for fork in BLOB_FORKS if f"{fork}Time" in config})
        active = [time for time in times if time <= now]
        if not active:
            raise EthereumRejected("no fork with blobs is active")
        coming = [time for time in times if time > now]
        return {
            "current": self._fork(active[-1]),
            "next": self._fork(coming[0]) if coming else None,
            "last": self._fork(coming[-1]) if coming else None,
        }

    def _fork(self, time: int) -> Json:
        config = self._chain.config
        named = [fork for fork in BLOB_FORKS if config.get(f"{fork}Time", time + 1) <= time]
        names = [*ETHEREUM, *ETHEREUM_ONLY]
        if "prague" not in named:
            names = names[: names.index("KZG_POINT_EVALUATION") + 1]
        precompiles = {name: f"0x{at:040x}" for at, name in enumerate(names, 1)}
        if "osaka" in named:
            precompiles["P256VERIFY"] = f"0x{P256VERIFY:040x}"
        contracts = {"BEACON_ROOTS_ADDRESS": SYSTEM_CONTRACTS["BEACON_ROOTS_ADDRESS"]}
        if "prague" in named:
            deposits = config.get("depositContractAddress", "0x" + "00" * 20)
            contracts = SYSTEM_CONTRACTS | {"DEPOSIT_CONTRACT_ADDRESS": deposits.lower()}
        return {
            "activationTime": time,
            "blobSchedule": config["blobSchedule"][named[-1]],
            "chainId": hex(self._chain.chain_id),
            "forkId": f"0x{self._fork_id(time):08x}",
            "precompiles": precompiles,
            "systemContracts": contracts,
        }

    def _fork_id(self, time: int) -> int:
        """
        Checksum of the chain and the forks that it has passed.

        Source: EIP-2124, EIP-6122; go-ethereum core/forkid.
        """
        config, genesis = self._chain.config, self._chain.blocks[0]
        blocks = sorted({at for name, at in config.items() if name.endswith("Block") and at})
        began = genesis.header.timestamp
        times = {at for name, at in config.items() if name.endswith("Time")}
        passed = sorted(at for at in times if began < at <= time)
        checksum = zlib.crc32(genesis.hash)
        for fork in (*blocks, *passed):
            checksum = zlib.crc32(fork.to_bytes(8, "big"), checksum)
        return checksum

    @rpc_method("eth_capabilities")
    async def capabilities(self) -> Json:
        """What of the chain is here: all of it."""
        newest = self._index.require_newest()
        whole = {"disabled": False, "oldestBlock": "0x0"}
        return {
            "head": {"number": hex(newest.number), "hash": show_bytes(newest.hash)},
            **dict.fromkeys(("state", "tx", "logs", "receipts", "blocks", "stateproofs"), whole),
        }

    def _number(self, block: BlockId) -> int:
        """Number of a block, which need not exist; `safe` and `finalized` are the last one."""
        if block in (Tag.SAFE, Tag.FINALIZED):
            block = Tag.LATEST
        return resolve_number(self._index, block)

    # -- uncles --------------------------------------------------------------------------------

    @rpc_method("eth_getUncleCountByBlockNumber", block_id)
    async def get_uncle_count_by_block_number(self, block: BlockId) -> str | None:
        """How many uncles a block has; null where there is none."""
        return _count_uncles(await find_block(self._index, block))

    @rpc_method("eth_getUncleCountByBlockHash", whole_hash)
    async def get_uncle_count_by_block_hash(self, hash_: bytes) -> str | None:
        """How many uncles a block has; null where there is none."""
        return _count_uncles(await self._index.find_round_by_hash(hash_))

    @rpc_method("eth_getUncleByBlockNumberAndIndex", block_id, quantity64)
    async def get_uncle_by_block_number_and_index(
        self, block: BlockId, position: int
    ) -> Json | None:
        """Header of an uncle, or null."""
        return _uncle(await find_block(self._index, block), position)

    @rpc_method("eth_getUncleByBlockHashAndIndex", whole_hash, quantity64)
    async def get_uncle_by_block_hash_and_index(self, hash_: bytes, position: int) -> Json | None:
        """Header of an uncle, or null."""
        return _uncle(await self._index.find_round_by_hash(hash_), position)

    # -- logs ----------------------------------------------------------------------------------

    @rpc_method("eth_getLogs", log_query)
    async def get_logs(self, query: LogQuery) -> list[Json]:
        """Events by block range or hash, address and topics; a range without a start is the end."""
        newest = self._index.require_newest().number
        if query.block_hash is None:
            first, last = (
                newest
                if one in (None, Tag.SAFE, Tag.FINALIZED)
                else resolve_number(self._index, one)
                for one in (query.from_block, query.to_block)
            )
            if first > last:
                raise EthereumRejected("invalid block range params", INVALID_PARAMETERS_CODE)
            if last > newest:
                why = "block range extends beyond current head block"
                raise EthereumRejected(why, INVALID_PARAMETERS_CODE)
            query = LogQuery(query.wanted, None, first, last)
        return await query_logs(self._index, query, newest + 1)


def _of(round_: IndexedRound) -> EthereumBlock:
    """What Ethereum shows of a block; every block of the chain has it."""
    if round_.ethereum is None:
        raise EthereumRejected(f"block {round_.number} is not of the imported chain")
    return round_.ethereum


def _fees(round_: IndexedRound) -> RoundFees:
    base_fee = _of(round_).base_fee_wei
    records = [one.record for one in round_.transactions]
    tips = sorted((number(one.effective_gas_price) - base_fee, one.gas_used) for one in records)
    return RoundFees(round_.number, base_fee, round_.gas_used, tuple(tips))


def _blob_ratio(block: EthereumBlock) -> float:
    used = int(block.shown.get("blobGasUsed", "0x0"), 16)
    return used / block.max_blob_gas if block.max_blob_gas else 0


def _check_percentiles(wanted: tuple[float, ...]) -> None:
    for before, value in zip((0.0, *wanted), wanted, strict=False):
        if not before <= value <= 100:
            raise EthereumRejected(f"invalid reward percentile: {value:f}")


def _count_uncles(round_: IndexedRound | None) -> str | None:
    return None if round_ is None else hex(len(_of(round_).ommers))


def _uncle(round_: IndexedRound | None, position: int) -> Json | None:
    if round_ is None or position >= len(_of(round_).ommers):
        return None
    uncle: dict[str, Any] = _of(round_).ommers[position]
    return uncle | {"uncles": []}
