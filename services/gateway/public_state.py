"""
All accounts of a public chain, with code and storage, as a compute node's enclave holds them.

The state keeps accounts under a hash of their address (`crates/evm-core/src/layout.rs`), so the
addresses come from what names them: storage, genesis, the index and, for those that contracts alone
have reached, traces. Accounts that are none of Ethereum's, of modules and of keys of the SDK,
have no address and are left out.
"""

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass

import evm_native
import orjson

from services.gateway.node import GatewayNode
from services.gateway.rpc.errors import QueryRejected
from services.gateway.rpc.replays import Replays
from shared.api.evm import EvmQueries
from shared.crypto.address import ethereum_address
from shared.crypto.hashes import keccak256
from shared.encoding.record import decode_record
from shared.errors import QanatError, Unavailable
from shared.rules.state_keys import runtime_key
from shared.types.evm import (
    ACCOUNTS,
    CODES,
    SLOTS,
    EvmGenesis,
    EvmGenesisAccount,
    StateItems,
    StateQuery,
)
from shared.types.identity import Round, RuntimeId
from shared.types.registry import RuntimeDescriptor

MAX_PART_BYTES = 32 * 1024 * 1024
"""Of all accounts, of all code and of all slots, each: what is held until the dump is written."""
ITEM_BYTES = 100
"""What an item costs beside key and value."""
MAX_TRACED_ROUNDS = 5_000
"""Newest rounds that run again, where there are still accounts without a name."""
ADDRESS_BYTES = 20
WITH_CODE = b"\x01"
CHANGES = {"geth": {"tracer": "prestateTracer", "tracerConfig": {"diffMode": True}}}
"""Form of a trace that names every account which a transaction changed."""


class StateUnreadable(Unavailable, module="rpc", code=15):
    """What a node says is its state is none; another node may say better."""


@dataclass(frozen=True, slots=True)
class _Stored:
    """An account as the state holds it: flag ‖ nonce (8) ‖ [code hash (32)] ‖ balance."""

    nonce: int
    code_hash: bytes
    balance: int

    @classmethod
    def read(cls, raw: bytes) -> "_Stored":
        split = 41 if raw[:1] == WITH_CODE else 9
        return cls(
            int.from_bytes(raw[1:9], "big"), raw[9:split], int.from_bytes(raw[split:], "big")
        )


class PublicState:
    """Reads everything of the newest round."""

    def __init__(self, node: GatewayNode, replays: Replays) -> None:
        self._node, self._replays = node, replays

    async def read_accounts(self) -> list[EvmGenesisAccount]:
        """
        Give every account that has an address, in their order.

        Raises
        ------
        RuntimeRejected
            The chain is confidential: its enclaves show no storage.
        QueryRejected
            There is more than `MAX_PART_BYTES` of something.
        StateUnreadable
            See the class.
        """
        round_ = Round(self._node.index.require_newest().number)
        stored = {
            key[1:]: _Stored.read(value) async for key, value in self._items(ACCOUNTS, round_)
        }
        codes = {key[1:]: value async for key, value in self._items(CODES, round_)}
        slots: dict[bytes, list[tuple[int, int]]] = {}
        async for key, value in self._items(SLOTS, round_):
            address, slot = key[1 : 1 + ADDRESS_BYTES], key[1 + ADDRESS_BYTES :]
            pair = int.from_bytes(slot, "big"), int.from_bytes(value, "big")
            slots.setdefault(address, []).append(pair)
        return [
            EvmGenesisAccount(
                address=address,
                balance=account.balance,
                nonce=account.nonce,
                code=_code_of(account, codes),
                storage=tuple(sorted(slots.get(address, ()))),
            )
            for address in sorted(await self._name(set(stored), slots, round_))
            if (account := stored.get(ethereum_address(address))) is not None
        ]

    async def _items(self, prefix: bytes, round_: Round) -> AsyncIterator[tuple[bytes, bytes]]:
        start, size, is_last = None, 0, False
        while not is_last:
            page = await self._page(StateQuery(prefix, start), round_)
            for key, value in page.items:
                _verify_form(prefix, key, value)
                yield key, value
                size += len(key) + len(value) + ITEM_BYTES
            if size > MAX_PART_BYTES:
                raise QueryRejected(f"the state has more than {MAX_PART_BYTES} bytes of a kind")
            is_last = page.is_last or not page.items
            start = page.items[-1][0] + b"\0" if page.items else None

    async def _page(self, query: StateQuery, round_: Round) -> StateItems:
        return await EvmQueries(self._node.nodes).fetch_state(query, round_)

    async def _name(
        self, nameless: set[bytes], slots: Iterable[bytes], round_: Round
    ) -> set[bytes]:
        """Find the addresses of accounts that are given as the state has them, 21 bytes each."""
        named: set[bytes] = set()

        def take(addresses: Iterable[bytes]) -> None:
            for address in addresses:
                native = ethereum_address(address)
                if native in nameless:
                    nameless.discard(native)
                    named.add(address)

        take(slots)
        take(await self._of_genesis())
        take(one[0] for one in evm_native.predeployed())
        take(await self._node.index.find_accounts())
        oldest = max(int(round_) - MAX_TRACED_ROUNDS, self._node.index.first_number)
        for number in range(int(round_), oldest - 1, -1):
            if not nameless:
                break
            take(await self._changed(number))
        return named

    async def _of_genesis(self) -> set[bytes]:
        runtime_id = RuntimeId(self._node.settings.runtime_id)
        (raw,) = await self._node.consensus.fetch_state((runtime_key(runtime_id),))
        document = None if raw is None else decode_record(RuntimeDescriptor, raw).genesis
        if document is None:
            return set()
        genesis = decode_record(EvmGenesis, document)
        return {address for address, _ in genesis.balances} | {
            one.address for one in genesis.accounts
        }

    async def _changed(self, number: int) -> set[bytes]:
        """Accounts that the transactions of a round changed; none where it cannot run again."""
        found = await self._node.index.find_round(number)
        if found is None or not found.transactions:
            return set()
        try:
            traces = await self._replays.trace_round(found, CHANGES)
        except QanatError:
            # Its state is forgotten, or it has edits or transactions of the SDK, which are not
            # shown as they were.
            return set()
        return {
            bytes.fromhex(address.removeprefix("0x"))
            for trace in traces
            for side in orjson.loads(trace).values()
            for address in side
        }


def _verify_form(prefix: bytes, key: bytes, value: bytes) -> None:
    """Verify that a node's item is one, or raise `StateUnreadable`."""
    is_whole = (
        key[:1] == prefix
        and {
            ACCOUNTS: len(key) == 22 and len(value) >= (41 if value[:1] == WITH_CODE else 9),
            CODES: len(key) == 33 and keccak256(value) == key[1:],
            SLOTS: len(key) == 53 and len(value) <= 32,
        }[prefix]
    )
    if not is_whole:
        raise StateUnreadable(f"the node's state has an item {key.hex()} of no known form")


def _code_of(account: _Stored, codes: Mapping[bytes, bytes]) -> bytes:
    if not account.code_hash:
        return b""
    code = codes.get(account.code_hash)
    if code is None:
        raise StateUnreadable(f"the node's state lacks the code {account.code_hash.hex()}")
    return code
