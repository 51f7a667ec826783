"""
`anvil_dumpState` and `anvil_loadState`: accounts, code and storage of a chain, as Anvil has them.

They are dev controls: they exist only in networks that have these, and answer only who
`rpc.callers` lets. A whole network with history and secrets goes by `qanat dump`. See ADR 0056.
"""

from collections.abc import Iterator

from services.gateway.dev_transactions import DevTransactions, Edit, EditKind
from services.gateway.node import GatewayNode
from services.gateway.public_state import PublicState
from services.gateway.rpc.errors import InvalidParameters, QueryRejected
from services.gateway.rpc.evm import EvmMethods
from services.gateway.rpc.methods import also, rpc_method
from services.gateway.rpc.parameters import boolean, data, optional
from services.gateway.rpc.replays import Replays
from services.gateway.rpc.shapes import show_bytes
from shared.api.evm import EvmQueries
from shared.encoding.quantity import encode_quantity
from shared.errors import QanatError
from shared.gateways.account_dump import (
    BadAccountDump,
    read_accounts,
    unpack,
    write_anvil_dump,
)
from shared.rules.dev_transactions import dev_address
from shared.types.evm import Account, EvmGenesisAccount

MAX_DUMP_BYTES = 64 * 1024 * 1024
"""Of a dump's JSON."""
MAX_EDITS = 20_000
"""Of one load: some twenty seconds' work."""
SEALED = (
    "the storage of a confidential ParaTime is sealed, and no gateway sees it: `qanat dump` writes "
    "the whole network"
)


class StateDumpMethods:
    """Answers that take the state out of a chain, and into one."""

    def __init__(self, node: GatewayNode, edits: DevTransactions, replays: Replays) -> None:
        self._node, self._edits = node, edits
        self._state, self._evm = PublicState(node, replays), EvmMethods(node)

    @also("hardhat_dumpState")
    @rpc_method("anvil_dumpState", optional(boolean, default=False))
    async def dump_state(self, with_history: bool) -> str:
        """
        Give all accounts with code and storage, which Anvil loads as well; public ParaTimes only.

        What the network's owner has of his own, the account that orders his edits, is left out.
        """
        if self._node.settings.confidential:
            raise QueryRejected(SEALED)
        if with_history:
            raise QueryRejected("states of before are in no dump; `qanat dump` writes all history")
        owner = self._owner()
        accounts = await self._state.read_accounts()
        return show_bytes(write_anvil_dump(one for one in accounts if one.address != owner))

    @also("hardhat_loadState")
    @rpc_method("anvil_loadState", data)
    async def load_state(self, dump: bytes) -> bool:
        """
        Write the accounts of a dump over those of the chain; what it does not name stays.

        Each change is an edit of the network's owner. Nonces never fall. All is loaded, or
        nothing: the network goes back to before where an edit is refused.
        """
        try:
            accounts = read_accounts(unpack(dump, MAX_DUMP_BYTES))
        except BadAccountDump as error:
            raise InvalidParameters(f"invalid argument 0: {error.message}") from None
        if len(accounts) > MAX_EDITS:
            raise QueryRejected(f"{len(accounts)} accounts at once, at most {MAX_EDITS}")
        edits = [edit for one in accounts for edit in await self._edits_of(one)]
        if len(edits) > MAX_EDITS:
            raise QueryRejected(f"{len(edits)} changes at once, at most {MAX_EDITS}")
        before = (await self._node.consensus.take_snapshot()).id
        try:
            await self._edits.edit_all(edits)
        except QanatError:
            await self._evm.revert(before)
            raise
        await self._node.consensus.drop_snapshot(before)
        return True

    def _owner(self) -> bytes | None:
        key = self._node.dev_control_key
        return None if key is None else dev_address(key)

    async def _edits_of(self, wanted: EvmGenesisAccount) -> list[Edit]:
        if wanted.address == self._owner():
            return []
        known: Account = await EvmQueries(self._node.nodes).fetch_account(wanted.address)
        code = b""
        if wanted.code:
            code = await EvmQueries(self._node.nodes).fetch_code(wanted.address)
        return list(_changes(wanted, known, code))


def _changes(wanted: EvmGenesisAccount, known: Account, code: bytes) -> Iterator[Edit]:
    """Edits that make an account what is wanted, as far as it is not."""
    address = wanted.address
    if wanted.code != code and wanted.code:
        yield Edit(EditKind.CODE, address, value=wanted.code)
    if wanted.balance != known.balance:
        yield Edit(EditKind.BALANCE, address, value=encode_quantity(wanted.balance))
    if wanted.nonce > known.nonce:
        yield Edit(EditKind.NONCE, address, value=encode_quantity(wanted.nonce))
    for slot, value in wanted.storage:
        yield Edit(EditKind.STORAGE, address, slot, encode_quantity(value))
