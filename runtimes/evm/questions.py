"""
What the network's owner asks of a confidential ParaTime, and what anybody may ask of a public one.

Storage, traces of calls, simulations, calls that pretend another state: each shows what contracts
keep, so that the enclave answers none of it to strangers (`runtimes/evm/sight.py`). The owner's
question comes sealed to the epoch's calldata key and signed by the debug key, is answered by the
code that answers a public ParaTime, and the answer, or why there is none, is sealed to him.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import evm_native

from runtimes.evm.calls import call, estimate_gas_as_sender
from runtimes.evm.owner import Viewers, refused, seal_to, verify_owner
from runtimes.evm.sight import simulate, trace_round
from shared.enclave.round_context import RoundContext
from shared.encoding.record import MalformedRecord, decode_record, encode_record
from shared.errors import Rejected
from shared.rules.sight import QUESTION_BINDING, owner_answer_binding
from shared.types.evm import Amount, EvmCall, EvmQuery, StorageQuery, TraceQuery
from shared.types.sight import (
    OWNER_QUESTION,
    Failure,
    OwnerAnswer,
    OwnerQuestion,
    Question,
    SealedView,
    SignedQuestion,
)

READ_SLOT = bytes.fromhex("5f35545f5260205ff3")
"""Returns the slot that calldata names: in the place of a contract's code, or a precompile."""
READING_GAS = 100_000


@dataclass(frozen=True, slots=True)
class Ground:
    """On what a question is answered."""

    engine: evm_native.Engine
    """Of the profile `dev`: the owner calls as whomever he likes."""
    environment: evm_native.BlockEnv = field(repr=False)
    version: int


def ask_as_owner(
    viewers: Viewers,
    signed: SignedQuestion,
    context: RoundContext,
    lay_ground: Callable[[], Ground],
) -> SealedView:
    """
    Answer a question of the network's owner.

    Parameters
    ----------
    context : `RoundContext`
        Of the round on whose state it is answered.
    lay_ground : callable
        Gives what is needed to answer; not asked for a stranger.

    Raises
    ------
    RuntimeRejected
        Of module `sight`: 2 expired, 3 not about this round, 5 not by the owner, 7 not sealed to a
        key that is there. Whatever is wrong with the question itself is told under seal.
    """
    question = signed.question
    verify_owner(
        viewers.debug_key, OWNER_QUESTION, encode_record(question), signed.signature, context
    )
    if context.hindsight is None or context.hindsight().now_s > question.expires_s:
        raise refused(2, "the question has expired")
    if question.round != context.parent.round:
        raise refused(3, f"the question is about round {question.round}")
    opened = _open(question, context)
    try:
        answer = OwnerAnswer(_answer(opened, lay_ground()))
    except Rejected as error:
        why = Failure(error.module, error.code, error.message, error.data)
        answer = OwnerAnswer(b"", why)
    binding = owner_answer_binding(question)
    return seal_to(question.asker, encode_record(answer), binding, context)


def _open(question: OwnerQuestion, context: RoundContext) -> Question:
    secret = context.keys().call_secrets.get(int(question.epoch))
    if secret is None:
        raise refused(7, f"the question is sealed to a key of epoch {question.epoch}: seal it anew")
    key = evm_native.mrae_key(secret, question.asker)
    try:
        plain = evm_native.deoxysii_open(key, question.nonce, question.data, QUESTION_BINDING)
        return decode_record(Question, plain)
    except (evm_native.InvalidTag, MalformedRecord):
        raise refused(7, "the question is not sealed to this ParaTime's calldata key") from None


def _answer(question: Question, ground: Ground) -> bytes:
    engine, environment, version = ground.engine, ground.environment, ground.version
    arguments = question.arguments
    match question.method:
        case EvmQuery.STORAGE:
            return _read_slot(decode_record(StorageQuery, arguments), ground)
        case EvmQuery.CALL:
            return call(engine, environment, decode_record(EvmCall, arguments), version)
        case EvmQuery.ESTIMATE_GAS_AS_SENDER:
            wanted = decode_record(EvmCall, arguments)
            gas = estimate_gas_as_sender(engine, environment, wanted, version)
            return encode_record(Amount(gas))
        case EvmQuery.SIMULATE:
            return simulate(engine, environment, arguments, version)
        case EvmQuery.TRACE:
            return trace_round(engine, environment, decode_record(TraceQuery, arguments), None)
        case _:
            raise refused(8, f"this is no question of the owner: {question.method[:64]}")


def _read_slot(wanted: StorageQuery, ground: Ground) -> bytes:
    """Read a slot by a call to code that does nothing else; 32 bytes."""
    pretence = b'{"state":{"0x%b":{"code":"0x%b"}}}' % (
        wanted.address.hex().encode(),
        READ_SLOT.hex().encode(),
    )
    reading = EvmCall(bytes(20), wanted.address, READING_GAS, 0, 0, wanted.slot, pretence)
    return call(ground.engine, ground.environment, reading, ground.version)
