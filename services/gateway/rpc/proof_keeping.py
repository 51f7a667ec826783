"""
`qanat_keepProofs`: Ethereum's tries for a public chain that is older than they are (ADR 0063).

It is a dev control: it exists only in networks that have these, and answers only who `rpc.callers`
lets.
"""

from services.gateway.dev_transactions import DevTransactions, Edit, EditKind, batched
from services.gateway.node import GatewayNode
from services.gateway.public_state import PublicState
from services.gateway.rpc.errors import QueryRejected
from services.gateway.rpc.methods import rpc_method
from services.gateway.rpc.replays import Replays

MAX_NAMES = 5_000
"""Accounts of one edit: their addresses are 100 KB."""
NO_TRIES = "a confidential ParaTime has no tries of Ethereum's: what they would prove is ciphertext"


class ProofKeepingMethods:
    """Answers that let a chain prove its accounts."""

    def __init__(self, node: GatewayNode, owner: DevTransactions, replays: Replays) -> None:
        self._node, self._owner = node, owner
        self._state = PublicState(node, replays)

    @rpc_method("qanat_keepProofs")
    async def keep_proofs(self) -> str:
        """
        Put every account into Ethereum's tries, on a public ParaTime; from which block on it is.

        A chain that is older than the tries begins them so, and one that has them takes in whom
        only his Oasis address was paid. Blocks before keep what they have. Accounts are found as
        for `anvil_dumpState`; one that is not enters when something is written to it.
        """
        if self._node.settings.confidential:
            raise QueryRejected(NO_TRIES)
        addresses = [one.address for one in await self._state.read_accounts()]
        batches = list(batched(addresses, MAX_NAMES)) or [[]]
        await self._owner.edit_all(
            [Edit(EditKind.NAMES, value=b"".join(batch)) for batch in batches]
        )
        return hex(self._node.index.require_newest().number)
