"""
The one door to the native core.

Turns records into the core's objects and its errors into this project's, and nothing else.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import evm_native

from services.compute.enclave.errors import StateRejected
from services.compute.enclave.keys import RoundKeys
from services.compute.enclave.protocol import AccountState, CheckedTransaction, EnclaveQuery
from shared.errors import QanatError, RuntimeRejected
from shared.types.block import BlockHeader
from shared.types.identity import Epoch, Hash, Round
from shared.types.registry import EvmGenesis

CACHE_MIB = 16
"""Pages of the state kept in memory [MiB]; the file system caches the rest."""

PendingBlock = evm_native.PendingBlock
BlockEnv = evm_native.BlockEnv


class Evm:
    """The state of one ParaTime, versioned by round, and the engine over it."""

    def __init__(
        self,
        genesis: EvmGenesis,
        path: Path | None,
        state_key: Callable[[bytes], bytes] | None,
    ) -> None:
        """
        Open the state.

        `path` None keeps it in memory; `state_key` gives the storage key of a contract and is None
        on a chain that is not confidential.
        """
        self._genesis = genesis
        with _errors_of_the_core():
            self._store = (
                evm_native.Store.memory()
                if path is None
                else evm_native.Store.open(path, cache_mb=CACHE_MIB)
            )
            config = evm_native.ChainConfig(
                chain_id=genesis.chain_id,
                batch_gas_limit=genesis.batch_gas_limit,
                initial_min_gas_price=genesis.min_gas_price,
                confidential=genesis.confidential,
            )
            self._engine = evm_native.Engine(config, self._store, state_key=state_key)

    # -- versions ------------------------------------------------------------------------------

    @property
    def version(self) -> Round:
        """Newest round in the store, tentative ones included."""
        return Round(self._store.version)

    @property
    def oldest(self) -> Round:
        """Oldest round whose state is kept."""
        return Round(self._store.oldest)

    def root_at(self, round_: Round) -> Hash:
        """State root after a round."""
        with _errors_of_the_core():
            return self._store.root_at(round_)

    def skip(self, round_: Round) -> None:
        """Let a round leave the state as it is."""
        with _errors_of_the_core():
            self._store.skip(round_)

    def apply(self, round_: Round, diff: bytes, *, expect_root: Hash) -> None:
        """Make the state of a round from its diff; another root changes nothing."""
        with _errors_of_the_core():
            self._store.apply(round_, diff, expect_root=expect_root)

    def diff_at(self, round_: Round) -> bytes:
        """Change of state of a round."""
        with _errors_of_the_core():
            return self._store.diff_at(round_)

    def rollback(self, round_: Round) -> None:
        """Make an older round the newest."""
        with _errors_of_the_core():
            self._store.rollback(round_)

    def close(self) -> None:
        """Close the state's file; nothing may be asked afterwards."""
        # The engine holds the file as well.
        del self._engine
        self._store.close()

    # -- execution -----------------------------------------------------------------------------

    def environment(self, parent: BlockHeader, epoch: Epoch, keys: RoundKeys) -> BlockEnv:
        """
        Build the surroundings of the round that follows a block.

        Contracts see the parent's number and time. Source: spec of Sapphire, header semantics.
        """
        return evm_native.BlockEnv(
            round=parent.round + 1,
            parent_round=parent.round,
            parent_timestamp=parent.timestamp,
            grandparent_hash=parent.previous_hash,
            epoch=epoch,
            call_keys=keys.call_secrets,
            rng_key=keys.random_root,
            call_data_public_key=keys.call_data_public_key,
        )

    def execute(
        self, env: BlockEnv, batch: Sequence[bytes], *, is_first: bool
    ) -> evm_native.PendingBlock:
        """
        Execute a batch; what is not valid is left out, on every node alike.

        `is_first` puts the genesis balances in place before.
        """
        balances = None
        if is_first:
            balances = [(a, int.from_bytes(v, "big")) for a, v in self._genesis.balances]
        with _errors_of_the_core():
            return self._engine.execute(env, batch, genesis=balances, strict=False)

    def check(self, raws: Sequence[bytes], *, version: Round) -> tuple[CheckedTransaction, ...]:
        """Check raw transactions against the state of a round."""
        with _errors_of_the_core():
            outcomes = self._engine.check(raws, version=version)
        return tuple(map(_checked, outcomes))

    # -- queries -------------------------------------------------------------------------------

    def call(self, env: BlockEnv, query: EnclaveQuery) -> bytes:
        """Run a query on the state after `query.round`."""
        with _errors_of_the_core():
            return self._engine.call(
                env,
                version=query.round,
                caller=query.caller,
                to=query.to,
                gas=query.gas,
                gas_price=query.gas_price,
                value=query.value,
                data=query.data,
            )

    def estimate_gas(self, env: BlockEnv, query: EnclaveQuery) -> int:
        """Estimate gas on the state after `query.round`."""
        with _errors_of_the_core():
            return self._engine.estimate_gas(
                env,
                version=query.round,
                caller=query.caller,
                to=query.to,
                gas=query.gas,
                gas_price=query.gas_price,
                value=query.value,
                data=query.data,
            )

    def account(self, address: bytes, version: Round) -> AccountState:
        """Nonce and balance after a round."""
        with _errors_of_the_core():
            return AccountState(*self._engine.account(address, version))

    def code(self, address: bytes, version: Round) -> bytes:
        """Code after a round."""
        with _errors_of_the_core():
            return self._engine.code(address, version)

    def storage(self, address: bytes, slot: bytes, version: Round) -> bytes:
        """What may be known of a slot after a round."""
        with _errors_of_the_core():
            return self._engine.storage(address, slot, version)

    def min_gas_price(self, version: Round) -> int:
        """Least gas price in the round after a version [wei]."""
        with _errors_of_the_core():
            return self._engine.min_gas_price(version)


def io_root(transactions: Sequence[bytes], results: Sequence[bytes]) -> Hash:
    """Root over the transactions of a round and their results."""
    return evm_native.io_root(transactions, results)


def _checked(outcome: evm_native.TxInfo | evm_native.CheckError) -> CheckedTransaction:
    if isinstance(outcome, evm_native.CheckError):
        return CheckedTransaction(outcome.hash, outcome.module, outcome.code, outcome.message)
    return CheckedTransaction(
        hash=outcome.hash,
        sender=outcome.sender,
        nonce=outcome.nonce,
        gas=outcome.gas,
        gas_price_wei=outcome.gas_price,
        account_nonce=outcome.account_nonce,
    )


@contextmanager
def _errors_of_the_core() -> Iterator[None]:
    try:
        yield
    except evm_native.CallFailed as error:
        raise RuntimeRejected(error.module, error.code, error.message, error.data) from None
    except evm_native.HostError as error:
        # A key could not be fetched: tell why, as the key ring did.
        if isinstance(error.__cause__, QanatError):
            raise error.__cause__ from None
        raise
    except evm_native.StateError as error:
        raise StateRejected(str(error)) from error
