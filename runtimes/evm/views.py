"""
What a transaction did, shown to who may see it and to nobody else.

On a confidential ParaTime that is the network's owner, by the debug key that the measured
configuration pins, who sees everything; and the account that sent the transaction, which sees its
own call. A host or gateway can put any request here, with any batch: what is shown is a replay of a
round that is proven to be final, and it is sealed to the asker.

A signature of the sender is not enough for calldata that came encrypted. An envelope is bound to no
sender, so whoever saw one can send it as his own: such a sender would have the enclave open what
somebody else wrote. The answer is therefore sealed to the key in the envelope, whose secret only
its author has.
"""

from collections.abc import Callable
from dataclasses import dataclass

import evm_native

from shared.crypto.hashes import keccak256, kmac256
from shared.crypto.signing import BadSignature, verify_signature
from shared.enclave.key_client import RoundKeys
from shared.enclave.round_context import Hindsight, RoundContext
from shared.encoding import cbor
from shared.encoding.record import decode_record, encode_record
from shared.errors import RuntimeRejected
from shared.rules.sight import answer_binding, view_digest
from shared.types.block import BlockHeader
from shared.types.evm import TracedTransaction, TraceQuery, Traces
from shared.types.identity import Epoch, PublicKey
from shared.types.sight import NONCE_BYTES, VIEW_REQUEST, SealedView, View, ViewQuery

SIGHT = "sight"
"""Module of what is refused here."""
NONCE_LABEL = b"qanat/evm: nonce of an answer"
OWN_CALL = b'{"geth":{"tracer":"callTracer","tracerConfig":{"onlyTopCall":true}}}'
"""What a sender sees: calldata, result, reason of a revert, gas. No inner calls: their calldata and
results are what contracts tell each other."""
EVERYTHING = b'{"geth":{"tracer":"callTracer","tracerConfig":{"withLog":true}}}'
"""What the debug key sees where it asks for nothing else."""
Replay = Callable[[TraceQuery, RoundKeys, Epoch], bytes]
"""Runs a batch again with the keys of an epoch; gives `Traces`."""


@dataclass(frozen=True, slots=True)
class Viewers:
    """Who may see transactions."""

    chain_id: int
    """Of the EVM; what senders sign names it."""
    debug_key: PublicKey | None
    """Ed25519 key of the network's owner; None where there is none."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A transaction, as far as its result record tells of it."""

    sender: bytes
    envelope_key: bytes | None
    """X25519 key of who encrypted its calldata; None where that is plain."""


def forbid_public(*, is_confidential: bool) -> None:
    """Refuse on a ParaTime where traces are everybody's, and no key seals anything."""
    if not is_confidential:
        raise _refused(1, "nothing is secret on this ParaTime: debug_traceTransaction shows it")


def view_transaction(
    viewers: Viewers, query: ViewQuery, context: RoundContext, replay: Replay
) -> SealedView:
    """
    Answer a view request.

    Parameters
    ----------
    context : `RoundContext`
        Of the round before that of the transaction.
    replay : callable
        Runs the transactions of the round again.

    Raises
    ------
    RuntimeRejected
        Of module `sight`: 1 nothing is secret here, 2 expired, 3 not the round, 4 not in it, 5 may
        not see it, 6 the replay ends otherwise. Of module `trace`: there is no such trace.
    RoundNotProven, RoundUnknown
        The round is not final, or not here.
    """
    if context.hindsight is None:
        raise _refused(3, "nothing is kept here of the round that followed")
    hindsight = context.hindsight()
    if hindsight.now_s > query.request.expires_s:
        raise _refused(2, "the view request has expired")
    header = hindsight.following()
    _verify_is_the_round(query, header)
    position = _position_of(query)
    sent = _read_sent(query.results[position])
    style = _authorize(viewers, query, sent, context)
    trace = _trace(query, position, style, header, replay, context, hindsight)
    return _seal(query, View(header.round, position, trace), context)


def _refused(code: int, why: str) -> RuntimeRejected:
    return RuntimeRejected(SIGHT, code, why)


def _verify_is_the_round(query: ViewQuery, header: BlockHeader) -> None:
    """Verify that the batch and its results are those of a final round."""
    if len(query.transactions) != len(query.results) or (
        evm_native.io_root(query.transactions, query.results) != header.io_root
    ):
        raise _refused(3, f"these are not the transactions and results of round {header.round}")


def _position_of(query: ViewQuery) -> int:
    for position, raw in enumerate(query.transactions):
        if keccak256(raw) == query.request.transaction:
            return position
    raise _refused(4, "the transaction is not in this round")


def _read_sent(result: bytes) -> Sent:
    match cbor.decode_loosely(result):
        case {"sender": bytes(sender), "encrypted": False}:
            return Sent(sender, None)
        case {"sender": bytes(sender), "encrypted": True, "input": bytes(input_)}:
            return Sent(sender, _envelope_key(input_))
        case _:
            raise _refused(3, "a result names no sender")


def _envelope_key(calldata: bytes) -> bytes:
    """Read the key of who made an envelope; what cannot be read is nobody's."""
    try:
        envelope = cbor.decode_loosely(calldata)
    except cbor.MalformedCbor:
        envelope = None
    match envelope:
        case {"body": {"pk": bytes(key)}}:
            return key
        case _:
            return b""


def _authorize(viewers: Viewers, query: ViewQuery, sent: Sent, context: RoundContext) -> bytes:
    """Give the style in which the asker may see the transaction, or refuse."""
    if len(query.signature) == 65:
        _verify_sender(viewers, query, sent)
        return OWN_CALL
    if viewers.debug_key is None:
        raise _refused(5, "this network has no debug key: only the sender sees his own call")
    domain = VIEW_REQUEST.for_runtime(
        context.chain_context, context.runtime_id, context.identity[2]
    )
    try:
        verify_signature(viewers.debug_key, domain, encode_record(query.request), query.signature)
    except BadSignature:
        raise _refused(5, "the view request is not signed by this network's debug key") from None
    return query.request.style or EVERYTHING


def _verify_sender(viewers: Viewers, query: ViewQuery, sent: Sent) -> None:
    request = query.request
    if request.style:
        raise _refused(5, "a sender sees his own call; only the debug key may choose a trace")
    try:
        signer = evm_native.recover_signer(view_digest(request, viewers.chain_id), query.signature)
    except evm_native.ConfigError:
        signer = b""
    if signer != sent.sender:
        raise _refused(5, "the view request is not signed by the sender of the transaction")
    if sent.envelope_key is not None and request.asker != sent.envelope_key:
        raise _refused(
            5,
            "the calldata is encrypted, and who sends an envelope need not have made it: ask with "
            "the X25519 key with which it was made, or with the debug key",
        )


def _trace(
    query: ViewQuery,
    position: int,
    style: bytes,
    header: BlockHeader,
    replay: Replay,
    context: RoundContext,
    hindsight: Hindsight,
) -> bytes:
    epoch = context.epoch if query.epoch is None else query.epoch
    if epoch > context.epoch:
        raise _refused(3, f"round {header.round} did not run in an epoch that is to come")
    batch = TraceQuery(query.transactions[: position + 1], header.hash(), position, style)
    answer = replay(batch, hindsight.keys_in(epoch), epoch)
    traced: TracedTransaction
    (traced,) = decode_record(Traces, answer).transactions
    if traced.result != query.results[position]:
        raise _refused(6, "the replay ends otherwise than the round: it ran in another epoch")
    return traced.trace


def _seal(query: ViewQuery, view: View, context: RoundContext) -> SealedView:
    """
    Seal an answer by the calldata key of the epoch, so that it can only come from an enclave.

    The nonce follows from the key and what is sealed: a request that is put again gets the same
    answer, and no nonce serves two.
    """
    epoch, plain = context.epoch, encode_record(view)
    key = evm_native.mrae_key(context.keys().call_secrets[int(epoch)], query.request.asker)
    binding = answer_binding(query.request)
    nonce = kmac256(key, binding + plain, NONCE_LABEL)[:NONCE_BYTES]
    return SealedView(epoch, nonce, evm_native.deoxysii_seal(key, nonce, plain, binding))
