"""
Verification of one commitment: is it about the open round, and who stands behind it?

The node's key signs the header, for this chain and runtime; its enclave's key (RAK) signs the
results. Source: oasis-core go/roothash/api/commitment/executor.go @ f9f1fdc.
"""

from functools import lru_cache

from services.consensus.rules.context import BlockContext, Caller
from services.consensus.rules.roothash.round_state import RuntimeState
from services.consensus.rules.signatures import verify_known_signature
from services.consensus.rules.state import State
from shared.crypto.hashes import EMPTY_HASH
from shared.encoding.record import encode_record
from shared.errors import Rejected
from shared.rules import state_keys
from shared.types.block import BlockHeader
from shared.types.commitment import (
    COMPUTE_RESULTS_HEADER,
    EXECUTOR_COMMITMENT,
    CommitmentFailure,
    ComputeResultsHeader,
    ExecutorCommitment,
)
from shared.types.messages import MalformedMessages, read_messages
from shared.types.registry import NodeDescriptor


class WrongRound(Rejected, module="roothash", code=2):
    """The commitment is for another round than the open one."""

    def __init__(self, got: int, expected: int) -> None:
        super().__init__(f"round {got}, expected {expected}")
        self.got, self.expected = got, expected


class WrongParent(Rejected, module="roothash", code=7):
    """The results build on another block than the last one."""


class MalformedCommitment(Rejected, module="roothash", code=8):
    """The parts of the commitment contradict each other."""


class NoEnclave(Rejected, module="roothash", code=9):
    """The node has no registered enclave for this runtime."""


class WrongMessages(Rejected, module="roothash", code=10):
    """The messages are not those under the hash, are too many, or are not the scheduler's."""


@lru_cache(maxsize=64)
def hash_of(header: BlockHeader) -> bytes:
    """Hash of a block header; each is asked for by every commitment of its round."""
    return header.hash()


def verify_position(commitment: ExecutorCommitment, last: BlockHeader) -> None:
    """
    Verify that a commitment is well-formed and about the round after a block.

    Raises
    ------
    WrongRound, WrongParent, MalformedCommitment, WrongMessages
        See each class.
    """
    if commitment.round != last.round + 1:
        raise WrongRound(commitment.round, last.round + 1)
    header = commitment.header
    results = header.results
    may_tell = results is not None and commitment.node_id == header.scheduler_id
    if commitment.messages is not None and not may_tell:
        raise WrongMessages("messages come with the scheduler's results only")
    if results is None:
        _verify_failure(commitment)
        return
    if header.failure is not CommitmentFailure.NONE or header.rak_signature is None:
        raise MalformedCommitment("a result comes without failure, and with the enclave's word")
    if results.round != commitment.round:
        raise MalformedCommitment(f"results of round {results.round} in {commitment.round}")
    if results.previous_hash != hash_of(last):
        raise WrongParent("the results build on another block")
    if (results.in_msgs_hash, results.in_msgs_count) != (EMPTY_HASH, 0):
        raise MalformedCommitment("there is no queue of incoming messages")
    if commitment.node_id == header.scheduler_id:
        verify_messages(commitment.messages or (), results)


def verify_messages(messages: tuple[bytes, ...], results: ComputeResultsHeader) -> None:
    """Verify that messages are those of the results, and well-formed, or raise `WrongMessages`."""
    try:
        read_messages(messages, results.messages_hash)
    except MalformedMessages as error:
        raise WrongMessages(error.message) from error


def verify_message_count(state: State, commitment: ExecutorCommitment, runtime_id: bytes) -> None:
    """Verify that a round does not ask for more than its ParaTime may, or raise `WrongMessages`."""
    if not commitment.messages:
        return
    runtime = state.load_required(RuntimeState, state_keys.runtime_state_key(runtime_id))
    allowed = runtime.descriptor.executor.max_messages
    if len(commitment.messages) > allowed:
        raise WrongMessages(f"{len(commitment.messages)} messages, at most {allowed}")


def _verify_failure(commitment: ExecutorCommitment) -> None:
    header = commitment.header
    if header.failure is CommitmentFailure.NONE or header.rak_signature is not None:
        raise MalformedCommitment("no result: a failure must say why, without an enclave's word")
    if commitment.node_id == header.scheduler_id:
        raise MalformedCommitment("a scheduler does not fail its own proposal")


def verify_sender(commitment: ExecutorCommitment, caller: Caller) -> None:
    """
    Verify that a failure is sent by the node itself; results may be sent by anybody.

    The signature of a failure does not name its round, so only the transaction's nonce keeps it
    from being played again. Raises `MalformedCommitment`.
    """
    if commitment.header.results is None and caller.public_key != commitment.node_id:
        raise MalformedCommitment("a node reports its failures itself")


def verify_node_signature(
    context: BlockContext, commitment: ExecutorCommitment, runtime_id: bytes
) -> None:
    """Verify that the node stands behind the commitment, or raise `BadSignature`."""
    verify_known_signature(
        commitment.node_id,
        _commitment_domain(context.chain_context, runtime_id, context.incarnation),
        encode_record(commitment.header),
        commitment.signature,
    )


def verify_enclave_signature(
    state: State, context: BlockContext, commitment: ExecutorCommitment, runtime_id: bytes
) -> None:
    """
    Verify that the node's registered enclave stands behind the results, where there are any.

    Raises
    ------
    NoEnclave, BadSignature
        See each class.
    """
    header = commitment.header
    if header.results is None or header.rak_signature is None:
        return
    node = state.load(NodeDescriptor, state_keys.node_key(commitment.node_id))
    served = () if node is None else (one for one in node.runtimes if one.id == runtime_id)
    capability = next((one.tee for one in served), None)
    if capability is None:
        raise NoEnclave(f"node {commitment.node_id.hex()} serves no such runtime")
    verify_known_signature(
        capability.rak,
        _results_domain(context.chain_context, runtime_id, context.incarnation),
        _encoded_results(header.results),
        header.rak_signature,
    )


def verify_commitment(
    state: State,
    context: BlockContext,
    runtime_id: bytes,
    commitment: ExecutorCommitment,
    last: BlockHeader,
) -> None:
    """Verify form, position and both signatures; see the functions above for what is raised."""
    verify_position(commitment, last)
    verify_message_count(state, commitment, runtime_id)
    verify_node_signature(context, commitment, runtime_id)
    verify_enclave_signature(state, context, commitment, runtime_id)


@lru_cache(maxsize=64)
def _results_domain(chain_context: str, runtime_id: bytes, incarnation: int) -> bytes:
    return COMPUTE_RESULTS_HEADER.for_runtime(chain_context, runtime_id, incarnation)


@lru_cache(maxsize=64)
def _commitment_domain(chain_context: str, runtime_id: bytes, incarnation: int) -> bytes:
    return EXECUTOR_COMMITMENT.for_runtime(chain_context, runtime_id, incarnation)


@lru_cache(maxsize=64)
def _encoded_results(results: ComputeResultsHeader) -> bytes:
    # The same for all nodes that agree.
    return encode_record(results)
