"""Chains of one validator, in one process, under a clock that tests move."""

from collections.abc import Callable
from pathlib import Path

from services.consensus.abci import Application, Genesis, ValidatorPower
from services.consensus.engine.solo import Limits, SoloEngine
from services.consensus.engine.solo_loop import BEAT_NS, SoloLoop
from services.consensus.store import IN_MEMORY, Store
from shared.crypto.signing import Signer
from shared.kit.clock import ManualClock
from shared.types.proof import Validator
from tests.support.counter import CounterApplication
from tests.support.other_engine import OtherEngine

CHAIN_ID = "qanat-test"
GENESIS_NS = 1_700_000_000_000_000_000
POWER = 10
SIGNER = Signer(b"\x07" * 32)
VALIDATORS = (Validator(SIGNER.public_key, POWER),)
LIMITS = Limits(max_tx_bytes=4_096, max_block_bytes=65_536)


def genesis(
    initial_height: int = 1, document: bytes = b"document", time_ns: int = GENESIS_NS
) -> Genesis:
    validators = (ValidatorPower(SIGNER.public_key, POWER),)
    return Genesis(CHAIN_ID, time_ns, initial_height, validators, document)


class SoloChain:
    """An engine with its store and application; `restart` makes all three anew."""

    def __init__(
        self,
        path: Path | str = IN_MEMORY,
        *,
        application: Callable[[Store], Application] = CounterApplication,
        make_store: Callable[[Path | str], Store] = Store,
        signer: Signer = SIGNER,
        initial_height: int = 1,
        document: bytes = b"document",
        time_ns: int = GENESIS_NS,
        limits: Limits = LIMITS,
    ) -> None:
        self.path, self._signer, self._limits = path, signer, limits
        self._genesis = genesis(initial_height, document, time_ns)
        self._make_application, self._make_store = application, make_store
        self.clock = ManualClock(time_ns + 1)
        self.restart()

    def restart(self) -> None:
        self.store = self._make_store(self.path)
        self.engine = self.new_engine()

    def new_engine(self) -> SoloEngine:
        return SoloEngine(
            self._make_application(self.store),
            self.store,
            self._genesis,
            self._limits,
            self._signer,
            self.clock,
            process_proposals=True,
        )

    def new_loop(self, beat_ns: int = BEAT_NS) -> SoloLoop:
        return SoloLoop(self.store, self.new_engine, beat_ns=beat_ns)

    def other_engine(self) -> OtherEngine:
        return OtherEngine(
            self.store,
            self._make_application,
            self._genesis,
            self._limits,
            self._signer,
            self.clock,
        )

    def started(self) -> "SoloChain":
        self.engine.start()
        return self

    def make_blocks(self, count: int) -> None:
        for _ in range(count):
            self.engine.make_block()
