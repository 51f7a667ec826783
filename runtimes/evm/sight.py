"""
Who may see what a transaction did: anybody on a public ParaTime, nobody on a confidential one.

A trace shows calldata, results, and each slot that a contract reads. The rule stands here, inside
the enclave, because a host or gateway can ask for whatever it likes.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import evm_native

from runtimes.evm.core_errors import errors_of_the_core
from shared.encoding.record import encode_record
from shared.errors import RuntimeRejected, Unavailable
from shared.types.evm import (
    AccountProof,
    ProofQuery,
    SlotProof,
    TracedTransaction,
    TraceQuery,
    Traces,
)
from shared.types.identity import Hash

NO_SIGHT_CODE = 1
NO_SIGHT = (
    "contracts of this ParaTime keep secrets, and a trace or simulation would show them to whoever "
    "asks: debug the contract on a public ParaTime (`confidential = false` in the network file)"
)
"""Why the enclave of a confidential ParaTime gives no traces, and what to do instead."""
SEALED_STATE = (
    "contracts of this ParaTime keep secrets: its state is ciphertext, and there is no proof in "
    "Ethereum's form of what it hides; public ParaTimes have them (`confidential = false`)"
)
NO_PROOF = (
    "there is no proof of this account in Ethereum's form at this block: the chain was older than "
    "such proofs, or had no round, or nothing but the account's Oasis address was ever paid. In "
    "networks with dev controls `qanat_keepProofs` has every account proven from then on"
)
"""Why there is no proof in Ethereum's form."""


AT_ONCE = 2
"""Traces and simulations that run at the same time; each may take seconds and 64 MiB. Other
questions have the other threads of the enclave."""
_places = threading.BoundedSemaphore(AT_ONCE)


class TooManyTraces(Unavailable, module="trace", code=5):
    """The enclave is busy with as many traces as it makes at a time; another node may not be."""


def forbid_sight(*, is_confidential: bool) -> None:
    """Refuse a question whose answer shows storage, calldata and results in the clear."""
    if is_confidential:
        raise RuntimeRejected("trace", NO_SIGHT_CODE, NO_SIGHT)


def prove(
    engine: evm_native.Engine, query: ProofQuery, version: int, root: Hash, *, is_confidential: bool
) -> AccountProof:
    """Prove an account, or that there is none, and slots of it; or raise `RuntimeRejected`."""
    if is_confidential:
        raise RuntimeRejected("proof", 1, SEALED_STATE)
    with errors_of_the_core:
        proof = engine.prove(query.address, query.slots, version, root=root)
    if proof is None:
        raise RuntimeRejected("proof", 2, NO_PROOF)
    nonce, balance, code_hash, storage_root, nodes, slots = proof
    proven = tuple(SlotProof(*one) for one in slots)
    return AccountProof(nonce, balance, code_hash, storage_root, nodes, proven)


@contextmanager
def _place() -> Iterator[None]:
    """Hold one of the few places; refuses at once where there is none, so that nothing waits."""
    if not _places.acquire(blocking=False):
        raise TooManyTraces(f"the enclave makes {AT_ONCE} traces at a time")
    try:
        yield
    finally:
        _places.release()


def trace_round(
    engine: evm_native.Engine,
    environment: evm_native.BlockEnv,
    query: TraceQuery,
    genesis: Sequence[Any] | None,
) -> bytes:
    """Run transactions of a round again, in the surroundings in which it ran; `Traces`."""
    with _place(), errors_of_the_core:
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
    with _place(), errors_of_the_core:
        return engine.simulate(environment, request, version=version)
