"""
What consensus has finalized, as far as the enclave has seen proof.

The light client proves values of consensus state; this module reads them as rounds and epochs.
"""

import itertools
from collections.abc import Mapping

from shared.enclave.errors import BrokenHeaderChain, IncompleteProof, NotInitialized
from shared.enclave.proven import read_required
from shared.rules import state_keys
from shared.types.beacon import EpochState
from shared.types.block import BlockHeader, HeaderType
from shared.types.identity import Epoch, RuntimeId


class Finality:
    """The newest finalized round and its epoch."""

    def __init__(self, runtime_id: RuntimeId) -> None:
        self._key = state_keys.last_block_key(runtime_id)
        self._head: BlockHeader | None = None
        self._head_hash = b""
        self._epoch = Epoch(0)

    @property
    def head(self) -> BlockHeader:
        """Newest finalized header, or `NotInitialized`."""
        if self._head is None:
            raise NotInitialized("no finalized round has been proven to the enclave")
        return self._head

    @property
    def head_hash(self) -> bytes:
        """Its hash, 32 bytes."""
        return self._head_hash

    @property
    def epoch(self) -> Epoch:
        """Epoch in which the round after `head` runs."""
        return self._epoch

    def apply_proof(
        self, values: Mapping[bytes, bytes | None], between: tuple[BlockHeader, ...]
    ) -> tuple[BlockHeader, ...]:
        """
        Move the head to the round that proven values show.

        Parameters
        ----------
        values : `Mapping`
            Proven values by state key: the ParaTime's last block, and the epoch.
        between : `tuple`
            Unproven headers that lie between the old head and the new one, oldest first.

        Returns
        -------
        headers : `tuple`
            The headers that are final by this proof, oldest first; the last one is the new head.

        Raises
        ------
        IncompleteProof
            The last block is missing; or the epoch is, where it may have changed.
        BrokenHeaderChain
            A header in `between` is not the parent of the next one.
        """
        head = read_required(BlockHeader, values, self._key)
        headers = (*between, head)
        for header, child in itertools.pairwise(headers):
            if header.hash() != child.previous_hash or header.round + 1 != child.round:
                raise BrokenHeaderChain(f"round {header.round} is not the parent of the next")
        if state_keys.EPOCH in values:
            epoch = read_required(EpochState, values, state_keys.EPOCH).epoch
        elif self._continues(headers):
            epoch = self._epoch
        else:
            raise IncompleteProof("the epoch may have changed and is not proven")
        self._head, self._head_hash, self._epoch = head, head.hash(), epoch
        return headers

    def _continues(self, headers: tuple[BlockHeader, ...]) -> bool:
        """Whether no round that begins an epoch can lie between the old head and the new one."""
        known = self._head
        if known is None:
            return False
        if headers[-1] == known:
            return True
        fresh = [h for h in headers if h.round > known.round]
        return (
            bool(fresh)
            and fresh[0].previous_hash == self._head_hash
            and all(h.header_type in (HeaderType.NORMAL, HeaderType.ROUND_FAILED) for h in fresh)
        )
