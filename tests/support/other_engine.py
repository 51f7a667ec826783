"""
A second engine, as unlike `solo` as the contract allows.

It has a beat of its own, keeps its blocks in a dictionary, lets the application choose from a list
and judge the proposal as other validators would, and executes a block only after it was decided.
"""

import asyncio

from services.consensus.abci import Block
from services.consensus.engine import chain_state
from services.consensus.engine.block_log import DecidedBlock
from services.consensus.engine.chain_state import Chain
from services.consensus.engine.contract import Decision, Standing
from services.consensus.engine.pool import transaction_hash
from shared.api.consensus import AlreadyPending, TransactionTooLarge
from shared.errors import error_from
from shared.rules import headers

BEAT_S = 0.01


class Blocks:
    """Decided blocks in memory."""

    def __init__(self) -> None:
        self.by_height: dict[int, DecidedBlock] = {}

    def save(self, block) -> None:
        self.by_height[block.height] = block

    def load(self, height=None):
        return self.by_height.get(max(self.by_height, default=0) if height is None else height)

    def forget_newest(self) -> None:
        """There is nothing kept beside the dictionary."""


class OtherEngine:
    """Fulfils `services.consensus.engine.contract.Engine` for one validator."""

    name = "other"
    capabilities = ("mine", "rewind")

    def __init__(self, store, make_application, genesis, limits, signer, clock) -> None:
        self._store, self._make_application = store, make_application
        self._genesis, self._limits = genesis, limits
        self._signer, self._clock = signer, clock
        self._address = headers.validator_address(signer.public_key)
        self._waiting: list[bytes] = []
        self._chains: dict[int, Chain] = {}
        self._blocks = store.blocks = Blocks()

    def start(self, on_decision) -> None:
        self._on_decision = on_decision
        self._application = self._make_application(self._store)
        init = self._application.init_chain(self._genesis)
        genesis = self._genesis
        validators = chain_state.with_updates((), init.validators or genesis.validators)
        self._chain = Chain(
            genesis.chain_id, genesis.initial_height - 1, genesis.time_ns, None, validators,
            validators, init.app_hash, headers.results_hash(()), self._limits.max_block_bytes,
        )  # fmt: skip

    @property
    def standing(self) -> Standing:
        return Standing(self._chain.chain_id, self._chain.height, self._chain.time_ns)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    async def run(self) -> None:
        while True:
            self.mine(1)
            # A block a second when nobody sends, as blocks are watched one by one in tests.
            for _ in range(int(1 / BEAT_S)):
                await asyncio.sleep(BEAT_S)
                if self._waiting:
                    break

    def submit(self, raw: bytes) -> bytes:
        if len(raw) > self._limits.max_tx_bytes:
            raise TransactionTooLarge(f"{len(raw)} bytes")
        if raw in self._waiting:
            raise AlreadyPending("it waits")
        self._check(raw, recheck=False)
        self._waiting.append(raw)
        return transaction_hash(raw)

    def _check(self, raw: bytes, *, recheck: bool) -> None:
        result = self._application.check_tx(raw, recheck)
        if result.code != 0:
            raise error_from(result.codespace, result.code, result.log)

    def query(self, path, data):
        return self._application.query(path, data, 0)

    def light_block(self, height):
        return None if (block := self._blocks.load(height)) is None else block.light_block

    def transactions(self, height):
        return None if (block := self._blocks.load(height)) is None else block.transactions

    def mine(self, count: int) -> None:
        for _ in range(count):
            self._make_block()

    def _make_block(self) -> None:
        chain, application = self._chain, self._application
        proposal = Block(
            height=chain.height + 1,
            time_ns=max(
                self._clock.now_ns() + application.time_shift_ns(), chain.time_ns + 1_000_000
            ),
            txs=tuple(self._waiting),
            proposer=self._address,
            last_votes=chain_state.last_votes(chain.last),
            next_validators_hash=headers.validators_hash(chain.next_validators),
        )
        chosen = tuple(application.prepare_proposal(proposal, self._limits.max_block_bytes))
        header = chain.build_header(proposal.time_ns, chosen, (), self._address)
        last_commit = None if chain.last is None else chain.last.commit
        light_block = chain_state.sign_block(
            self._signer, header, chain.validators, chosen, (), last_commit
        )
        decided = DecidedBlock(light_block, chosen)
        to_execute = chain_state.block_to_execute(light_block, chosen, (), chain.last)
        assert application.process_proposal(to_execute)
        self._blocks.save(decided)
        result = application.finalize_block(to_execute)
        application.commit()
        self._chains[chain.height] = chain
        self._chain = chain.after(light_block, result, ())
        self._waiting = [raw for raw in self._waiting if raw not in chosen]
        waiting, self._waiting = self._waiting, []
        dropped = []
        for raw in waiting:
            outcome = application.check_tx(raw, True)
            if outcome.code:
                dropped.append((raw, outcome))
            else:
                self._waiting.append(raw)
        self._on_decision(Decision(decided, result, tuple(dropped)))

    def rewind(self, height: int) -> None:
        newest = self._chain.height
        self._store.rollback(height)
        self._chain = self._chains.get(height, self._chain)
        for above in range(height + 1, newest + 1):
            self._blocks.by_height.pop(above)
        self._waiting = []
        self._application = self._make_application(self._store)
        self.mine(1)
