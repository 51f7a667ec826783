"""A chain, a key manager and compute enclaves in one process, driven by hand."""

from shared.encoding.record import decode_record, encode_record
from shared.rules import state_keys
from shared.types.block import RoundBlock, RoundChange
from shared.types.evm import Account, AccountQuery, EvmCall, EvmQuery
from tests.support.compute_nodes import (
    RICH,
    START_NS,
    WEI,
    DirectKeyManager,
    EnclaveHost,
    KeyManagerNode,
    identity_of,
    key_manager_policy,
    key_manager_runtime,
    make_program,
    paratime,
    register_program,
)
from tests.support.small_chain import SmallChain

NAMES = ("a", "b", "old", "new", "honest")


class Bench:
    """A chain, a key manager, and as many enclaves as a test starts."""

    def __init__(self, *, key_manager=None, descriptor=None, policy=None) -> None:
        self.key_manager = key_manager or KeyManagerNode()
        runtime = paratime(((RICH, 1000 * WEI),))
        self.chain = SmallChain(
            runtime,
            key_manager=descriptor or key_manager_runtime(),
            policy=policy or key_manager_policy(),
            start_ns=START_NS + 60_000_000_000,
        )
        self.keys = (
            state_keys.CHAIN_CONTEXT,
            state_keys.INCARNATION,
            state_keys.EPOCH,
            state_keys.runtime_key(runtime.id),
            state_keys.runtime_key(runtime.key_manager),
            state_keys.last_block_key(runtime.id),
            state_keys.key_manager_status_key(runtime.key_manager),
            *(state_keys.node_key(identity_of(name).node.public_key) for name in NAMES),
        )

    def program(self, name: str, directory=None, **config):
        host = EnclaveHost(DirectKeyManager(self.key_manager))
        return make_program(name, host, directory, **config)

    def start(self, name: str = "a", directory=None):
        program = self.program(name, directory)
        program.initialize(self.chain.prove(self.keys))
        self.join(name, program)
        return program

    def join(self, name: str, program) -> None:
        """Register an enclave, and prove to it that it is."""
        register_program(self.chain, name, program)
        program.initialize(self.chain.prove(self.keys))

    def finalize(self, executed):
        """Make a result final, and prove it."""
        self.chain.finalize((executed.header.state_root, executed.header.io_root))
        return self.chain.events[-1].proven

    def run(self, program, *batch):
        """Execute a batch and make it final; the round as peers would give it."""
        round_ = self.chain.head.round + 1
        executed = program.execute(round_, batch)
        program.advance(self.finalize(executed))
        block = RoundBlock(
            self.chain.head, tuple(batch[i] for i in executed.included), executed.results
        )
        return RoundChange(block, program.fetch_diff(round_))


def genesis_change(chain) -> RoundChange:
    return RoundChange(RoundBlock(chain.round_headers[0]), b"")


def call(program, round_: int) -> bytes:
    args = encode_record(EvmCall(RICH, bytes(20), 100_000, 0, 0, b""))
    return program.query(EvmQuery.CALL, args, round_)


def account(program, round_: int) -> Account:
    args = encode_record(AccountQuery(RICH))
    return decode_record(Account, program.query(EvmQuery.ACCOUNT, args, round_))
