"""
The rounds that the enclave holds: their states, their headers, and which of them are final.

The state store may be one tentative round ahead of the headers. A header makes it final, or has it
taken back; what was executed before it for the same round is set aside until then. Rounds that a
host gives are taken up before it is known whether they lead to the proven head; until it is,
nothing is executed on them and nothing answered: only what lies at or below the anchor counts, the
newest round that this start of the enclave has seen proven.
"""

from collections.abc import Mapping
from contextlib import suppress

from shared.enclave.errors import (
    BrokenHeaderChain,
    RoundNotProven,
    RoundPruned,
    RoundUnknown,
    StateRejected,
    WrongOutputs,
)
from shared.enclave.finality import Finality
from shared.enclave.history import Anchor, ChainedHeader, HeaderHistory
from shared.enclave.set_aside import SetAside
from shared.enclave.state import Pruned, VersionedState
from shared.rules.incarnations import last_shared_round
from shared.types.block import BlockHeader, HeaderType, RoundChange, has_its_results
from shared.types.identity import Round, RuntimeId
from shared.types.incarnation import IncarnationState

GENESIS = Round(0)
PRUNED_AT_ONCE = 256
"""Nodes of states that one call forgets: a millisecond or two in which no round is executed."""


class Ledger:
    """One ParaTime's rounds. Changed by one thread, read by any."""

    def __init__(
        self,
        runtime_id: RuntimeId,
        state: VersionedState,
        history: HeaderHistory,
        finality: Finality,
        set_aside: SetAside,
        keep_rounds: int | None = None,
    ) -> None:
        """
        Begin with what the files hold.

        `keep_rounds` is how many states below the newest are kept, as proven consensus state says;
        None keeps all.
        """
        self._runtime_id, self._keep_rounds = runtime_id, keep_rounds
        self._state, self._history, self._finality = state, history, finality
        self._set_aside = set_aside
        self._anchor: Anchor | None = None
        if history.next_round > state.version + 1:
            # Headers are written after their states; a state that is gone takes its header along.
            history.truncate(Round(state.version + 1))
        newest = history.newest
        if state.oldest > GENESIS and (newest is None or newest.round < state.oldest):
            # The headers are lost, and what is here cannot be reached from earlier ones.
            self._begin_anew()
        elif newest is not None and state.root_at(newest.round) != newest.state_root:
            # The files do not belong together: somebody put one of them there.
            self._begin_anew()

    @property
    def is_level(self) -> bool:
        """Whether the newest finalized round is here."""
        return self._history.newest_hash == self._finality.head_hash != b""

    @property
    def next_round(self) -> Round:
        """First round that is not here."""
        return self._history.next_round

    def newest_final(self) -> ChainedHeader:
        """Give the newest round that is here and proven final, or `RoundNotProven`."""
        if self._anchor is None:
            raise RoundNotProven("no round that is here is proven to be final yet")
        return self.find(self._anchor.round)

    def find(self, round_: Round) -> ChainedHeader:
        """
        Look up a round that is final and whose state is here.

        Raises
        ------
        RoundNotProven
            It may be final, but the enclave has not seen that yet.
        RoundUnknown
            It is ahead of this node, or gone.
        RoundPruned
            It is final, and its state is not kept any more.
        """
        anchor, oldest = self._anchor, self._state.oldest
        if anchor is None or anchor.round < round_ < self.next_round:
            raise RoundNotProven(f"round {round_} is not proven to be final yet")
        if round_ < oldest:
            raise RoundPruned(
                f"the state of round {round_} is pruned; states are kept from round {oldest} on"
            )
        found = self._history.find(round_, anchor) if round_ <= anchor.round else None
        if found is None:
            raise RoundUnknown(f"round {round_} is not here")
        return found

    def read_change(self, round_: Round) -> bytes:
        """Give the change of state of a final round, of a pruned one too; raises as `find`."""
        with suppress(RoundPruned):
            self.find(round_)
        return self._state.diff_at(round_)

    def prune(self, keep_from: Round) -> Pruned:
        """
        Forget states below a round, in steps.

        The host may wish for less than proven consensus state keeps, and gets what that keeps.
        """
        newest = self._history.newest
        if self._keep_rounds is None or newest is None:
            return Pruned(self._state.oldest, is_done=True)
        keep_from = Round(min(keep_from, newest.round - self._keep_rounds))
        if self._anchor is not None:
            # What is above may have to be taken back.
            keep_from = min(keep_from, self._anchor.round)
        before = self._state.oldest
        pruned = self._state.prune(Round(max(keep_from, GENESIS)), PRUNED_AT_ONCE)
        if pruned.oldest > before:
            self._history.prune(pruned.oldest)
        return pruned

    def apply_proof(
        self, values: Mapping[bytes, bytes | None], between: tuple[BlockHeader, ...]
    ) -> None:
        """
        Take up what proven consensus state says is final.

        Headers that cannot be taken up, because their states are not here, are left for
        `apply_changes`.

        Raises
        ------
        IncompleteProof, BrokenHeaderChain
            See `Finality.apply_proof`; also when the rounds here turn out to be another history,
            which is then forgotten.
        """
        for header in self._finality.apply_proof(values, between):
            if header.round < self.next_round:
                continue
            if header.round > self.next_round or not self._take_up(header, None):
                break
        head = self._finality.head.round
        if self.next_round > head + 1:
            # Consensus lost its newest blocks, as by a power cut; what it has not is not final.
            self._history.truncate(Round(head + 1))
            self._drop_states_without_header()
        self._verify_head()

    def apply_changes(self, changes: tuple[RoundChange, ...]) -> tuple[RoundChange, ...]:
        """
        Take up rounds that were executed elsewhere; give those that were new here.

        Their headers are believed once the chain that they form ends in the proven head; until then
        the enclave is not level and executes nothing.

        Raises
        ------
        RoundUnknown, WrongOutputs, BrokenHeaderChain, StateRejected
            See each class. Rounds before the bad one have been taken up.
        """
        taken_up: list[RoundChange] = []
        for change in changes:
            header = change.block.header
            if header.round < self.next_round:
                continue
            if header.round > self._finality.head.round:
                raise RoundUnknown(f"round {header.round} is not final yet")
            self._verify_outputs(change)
            if not self._take_up(header, change.diff):
                raise RoundUnknown(f"the state of round {header.round} is not here")
            taken_up.append(change)
        self._verify_head()
        return tuple(taken_up)

    def enter(self, life: IncarnationState) -> None:
        """Forget the rounds that are void in a life of the chain, where it is a later one."""
        known = self._history.incarnation
        if life.incarnation <= known:
            return
        shared = last_shared_round(life, known, self._runtime_id)
        if shared is not None:
            if self._anchor is not None and self._anchor.round > shared:
                last = self._history.find(Round(shared), self._anchor) if shared >= 0 else None
                self._anchor = None if last is None else Anchor(Round(shared), last.hash)
            self._history.truncate(Round(min(shared + 1, self.next_round)))
            # A tentative round on top goes as well: it was executed with keys of the other life.
            self._drop_states_without_header()
        self._history.enter(life.incarnation)

    def discard_tentative(self) -> None:
        """
        Take back a round that was executed but is not final.

        What it changed is set aside: consensus may make it final all the same.
        """
        round_ = self.next_round
        if GENESIS < round_ == self._state.version:
            change = self._state.diff_at(round_)
            self._set_aside.keep(round_, self._state.root_at(round_), change)
        self._drop_states_without_header()

    def _drop_states_without_header(self) -> None:
        newest = self._history.newest
        round_ = GENESIS if newest is None else newest.round
        if self._state.version > round_:
            self._go_back(round_)

    def _go_back(self, round_: Round) -> None:
        """Take states back to a round; where that is pruned, all must be fetched anew."""
        if round_ < self._state.oldest:
            self._begin_anew()
        else:
            self._state.rollback(round_)

    def _begin_anew(self) -> None:
        self._anchor = None
        self._history.truncate(GENESIS)
        self._state.rollback(GENESIS)

    def close(self) -> None:
        """Close the file of headers."""
        self._history.close()

    def _take_up(self, header: BlockHeader, diff: bytes | None) -> bool:
        """Add the next round if its state is here or can be made; say whether it was added."""
        try:
            self._history.verify_link(header)
        except BrokenHeaderChain:
            self._forget_foreign()
            raise
        round_ = header.round
        if self._state.version >= round_ and self._state.root_at(round_) != header.state_root:
            if round_ == GENESIS:
                raise BrokenHeaderChain("the first block does not have the empty state")
            self._go_back(Round(round_ - 1))
        if self._state.version < round_:
            if header.header_type is not HeaderType.NORMAL:
                self._skip(header)
            elif diff is not None:
                self._state.apply(round_, diff, expect_root=header.state_root)
            elif not self._make_again(header):
                return False
        self._history.append(header)
        self._set_aside.clear()
        return True

    def _make_again(self, header: BlockHeader) -> bool:
        """Make the state of a proposal that was given up; say whether it was kept."""
        change = self._set_aside.find(header.round, header.state_root)
        if change is None:
            return False
        try:
            self._state.apply(header.round, change, expect_root=header.state_root)
        except StateRejected:
            return False
        return True

    def _skip(self, header: BlockHeader) -> None:
        if self._state.root_at(Round(header.round - 1)) != header.state_root:
            raise BrokenHeaderChain(f"round {header.round} is not normal but changes the state")
        self._state.skip(header.round)

    def _verify_head(self) -> None:
        """Verify that what is here leads to the proven head, once it is as long."""
        newest, head = self._history.newest, self._finality.head
        if newest is None or newest.round != head.round:
            return
        if self._history.newest_hash != self._finality.head_hash:
            self._forget_foreign()
            raise BrokenHeaderChain(f"round {head.round} here is not the one that is final")
        self._anchor = Anchor(head.round, self._finality.head_hash)

    def _forget_foreign(self) -> None:
        """Go back to the newest round that was proven final."""
        last = Round(-1) if self._anchor is None else self._anchor.round
        self._history.truncate(Round(last + 1))
        self._go_back(max(last, GENESIS))

    def _verify_outputs(self, change: RoundChange) -> None:
        """Verify transactions and results against the header's I/O root."""
        block = change.block
        if block.header.header_type is not HeaderType.NORMAL:
            if block.transactions or block.results:
                raise WrongOutputs(f"round {block.header.round} is not normal but has transactions")
            return
        if not has_its_results(block) or (
            self._state.io_root(block.transactions, block.results) != block.header.io_root
        ):
            raise WrongOutputs(f"round {block.header.round} has other transactions or results")
