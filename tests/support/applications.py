"""Applications that the rules of `services.consensus.abci` are checked on."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from services.consensus.abci import Application
from services.consensus.application import ConsensusApplication
from services.consensus.store import IN_MEMORY, Store
from shared.crypto.signing import Signer
from shared.encoding.record import encode_record
from shared.types.genesis import GenesisValidator
from shared.types.methods import AdvanceEpoch, Method, Transfer
from shared.types.transaction import CONSENSUS_TRANSACTION, SignedTransaction, Transaction
from tests.support.chains import GENESIS_NS, POWER, SIGNER, SoloChain
from tests.support.consensus_world import (
    COMPUTE,
    CONTROL,
    MANAGERS,
    OWNER,
    ScriptedVerifier,
    World,
    make_genesis,
)
from tests.support.counter import CounterApplication, transaction

Transactions = tuple[bytes, ...]


@dataclass(frozen=True)
class Subject:
    """An application with transactions for it."""

    name: str
    make: Callable[[Store], Application]
    document: bytes
    first: Transactions
    """Good in a new chain, in this order alone."""
    workload: Callable[[SoloChain], Iterator[Transactions]]
    """The transactions of one block after the other, made when their block is due; all good."""
    bad: Transactions
    """Bad in every state, each for another reason."""

    def __str__(self) -> str:
        return self.name

    def new_chain(self, path: Path | str = IN_MEMORY) -> SoloChain:
        """A started chain without blocks."""
        return SoloChain(path, application=self.make, document=self.document).started()


# -- the counter ---------------------------------------------------------------------------------

COUNTER_FIRST = (transaction(0, "a", "1"), transaction(1, "b", "2"))


def counter_workload(_: SoloChain) -> Iterator[Transactions]:
    yield COUNTER_FIRST
    yield ()
    yield transaction(2, "round"), transaction(3, "a", "3")
    yield (transaction(4, "b", "4"),)


COUNTER = Subject(
    "counter",
    CounterApplication,
    b"document",
    COUNTER_FIRST,
    counter_workload,
    (b"", b"\xff\xfe", b"not a transaction", transaction(1_000, "a", "too early")),
)


# -- the consensus application -------------------------------------------------------------------

GENESIS = make_genesis(validators=(GenesisValidator(SIGNER.public_key, POWER),), time_ns=GENESIS_NS)
CHAIN_CONTEXT = GENESIS.chain_context()


class ChainWorld(World):
    """The keys and builders of `World`, over a chain that an engine makes."""

    def __init__(self, chain: SoloChain) -> None:
        self.genesis, self.store = GENESIS, chain.store
        self.chain_context = CHAIN_CONTEXT
        self._used: dict[bytes, int] = {}

    @property
    def height(self) -> int:
        return self.store.height


def _signed(by: Signer, nonce: int, method: str, body: object, chain: str) -> bytes:
    raw = encode_record(Transaction(nonce, method, encode_record(body)))
    signature = by.endorse(CONSENSUS_TRANSACTION.for_chain(chain), raw)
    return encode_record(SignedTransaction(raw, signature))


def _transfer(nonce: int, amount: int = 5, chain: str = GENESIS.chain_context()) -> bytes:
    body = Transfer(MANAGERS[0].address, amount)
    return _signed(OWNER.entity, nonce, Method.TRANSFER, body, chain)


CONSENSUS_FIRST = (_transfer(0), _transfer(1))


def consensus_workload(chain: SoloChain) -> Iterator[Transactions]:
    """Stake moves, nodes register, a committee is elected and agrees on a round."""
    world = ChainWorld(chain)
    yield CONSENSUS_FIRST
    yield tuple(world.registration(keys) for keys in COMPUTE)
    yield (world.tx(CONTROL, Method.ADVANCE_EPOCH, AdvanceEpoch()),)
    yield ()
    yield tuple(world.registration(keys) for keys in COMPUTE)
    yield tuple(world.commit(keys) for keys in world.workers())
    yield tuple(world.commit(keys) for keys in world.workers())


CONSENSUS = Subject(
    "consensus",
    lambda store: ConsensusApplication(store, ScriptedVerifier()),
    encode_record(GENESIS),
    CONSENSUS_FIRST,
    consensus_workload,
    (
        b"",
        b"\xa0",
        encode_record(Transaction(0, Method.TRANSFER, b"")),  # nobody signed it
        CONSENSUS_FIRST[0][:-1] + b"\x00",  # its signature is wrong
        _transfer(0, chain="00" * 32),  # for another chain
        _transfer(1_000),
    ),
)

SUBJECTS = [COUNTER, CONSENSUS]
