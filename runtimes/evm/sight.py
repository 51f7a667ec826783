"""
Who may see what a transaction did: anybody on a public ParaTime, nobody on a confidential one.

A trace shows calldata, results, and each slot that a contract reads. The rule stands here, inside
the enclave, because a host or gateway can ask for whatever it likes.
"""

from collections.abc import Sequence

import evm_native

from runtimes.evm.core_errors import errors_of_the_core
from shared.encoding.record import encode_record
from shared.errors import RuntimeRejected
from shared.types.evm import TracedTransaction, TraceQuery, Traces

NO_SIGHT_CODE = 1
NO_SIGHT = (
    "contracts of this ParaTime keep secrets, and a trace or simulation would show them to whoever "
    "asks: debug the contract on a public ParaTime (`confidential = false` in the network file)"
)
"""Why the enclave of a confidential ParaTime gives no traces, and what to do instead."""


def forbid_sight(*, is_confidential: bool) -> None:
    """Refuse a question whose answer shows storage, calldata and results in the clear."""
    if is_confidential:
        raise RuntimeRejected("trace", NO_SIGHT_CODE, NO_SIGHT)


def trace_round(
    engine: evm_native.Engine,
    environment: evm_native.BlockEnv,
    query: TraceQuery,
    genesis: Sequence[tuple[bytes, int]] | None,
) -> bytes:
    """Run transactions of a round again, in the surroundings in which it ran; `Traces`."""
    with errors_of_the_core():
        replayed = engine.replay(
            environment,
            query.transactions,
            block_hash=query.block_hash,
            genesis=genesis,
            wanted=query.wanted,
            style=query.style,
        )
    return encode_record(Traces(tuple(TracedTransaction(*one) for one in replayed)))


def simulate(
    engine: evm_native.Engine, environment: evm_native.BlockEnv, request: bytes, version: int
) -> bytes:
    """Run calls in blocks that never were, on the state of a round; JSON to JSON."""
    with errors_of_the_core():
        return engine.simulate(environment, request, version=version)
