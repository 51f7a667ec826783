from shared.types.block import HeaderType
from tests.support.compute_nodes import (
    START_NS,
    DirectKeyManager,
    EnclaveHost,
    KeyManagerNode,
    key_manager_runtime,
    make_program,
    paratime,
)
from tests.support.small_chain import SmallChain


def test_first_try():
    km = KeyManagerNode()
    chain = SmallChain(paratime(), key_manager=key_manager_runtime(), start_ns=START_NS)
    program = make_program("a", EnclaveHost(DirectKeyManager(km)))
    from shared.rules import state_keys

    keys = (
        state_keys.CHAIN_CONTEXT,
        state_keys.EPOCH,
        state_keys.runtime_key(chain.runtime.id),
        state_keys.last_block_key(chain.runtime.id),
        state_keys.runtime_key(key_manager_runtime().id),
    )
    state = program.initialize(chain.prove(keys))
    assert state.is_level
    out = program.execute(1, ())
    chain.finalize((out.header.state_root, out.header.io_root))
    state = program.advance(chain.events[-1].proven)
    assert state.is_level and state.head.round == 1
    assert chain.head.header_type is HeaderType.NORMAL
