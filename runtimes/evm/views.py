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

from runtimes.evm.owner import Viewers, refused, seal_to, verify_owner
from shared.crypto.hashes import keccak256
from shared.enclave.key_client import RoundKeys
from shared.enclave.round_context import Hindsight, RoundContext
from shared.encoding import cbor
from shared.encoding.record import decode_record, encode_record
from shared.rules.sight import answer_binding, view_digest
from shared.types.block import BlockHeader
from shared.types.evm import TracedTransaction, TraceQuery, Traces
from shared.types.identity import Epoch
from shared.types.sight import VIEW_REQUEST, SealedView, View, ViewQuery

OWN_CALL = b'{"geth":{"tracer":"callTracer","tracerConfig":{"onlyTopCall":true}}}'
"""What a sender sees: calldata, result, reason of a revert, gas. No inner calls: their calldata and
results are what contracts tell each other."""
EVERYTHING = b'{"geth":{"tracer":"callTracer","tracerConfig":{"withLog":true}}}'
"""What the debug key sees where it asks for nothing else."""
Replay = Callable[[TraceQuery, RoundKeys, Epoch], bytes]
"""Runs a batch again with the keys of an epoch; gives `Traces`."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A transaction, as far as its result record tells of it."""

    sender: bytes
    envelope_key: bytes | None
    """X25519 key of who encrypted its calldata; None where that is plain."""


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
        raise refused(3, "nothing is kept here of the round that followed")
    hindsight = context.hindsight()
    if hindsight.now_s > query.request.expires_s:
        raise refused(2, "the view request has expired")
    header = hindsight.following()
    _verify_is_the_round(query, header)
    position = _position_of(query)
    sent = _read_sent(query.results[position])
    style = _authorize(viewers, query, sent, context)
    trace = _trace(query, position, style, header, replay, context, hindsight)
    view = View(header.round, position, trace)
    return seal_to(query.request.asker, encode_record(view), answer_binding(query.request), context)


def _verify_is_the_round(query: ViewQuery, header: BlockHeader) -> None:
    """Verify that the batch and its results are those of a final round."""
    if len(query.transactions) != len(query.results) or (
        evm_native.io_root(query.transactions, query.results) != header.io_root
    ):
        raise refused(3, f"these are not the transactions and results of round {header.round}")


def _position_of(query: ViewQuery) -> int:
    for position, raw in enumerate(query.transactions):
        if keccak256(raw) == query.request.transaction:
            return position
    raise refused(4, "the transaction is not in this round")


def _read_sent(result: bytes) -> Sent:
    match cbor.decode_loosely(result):
        case {"sender": bytes(sender), "encrypted": False}:
            return Sent(sender, None)
        case {"sender": bytes(sender), "encrypted": True, "input": bytes(input_)}:
            return Sent(sender, _envelope_key(input_))
        case _:
            raise refused(3, "a result names no sender")


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
    verify_owner(
        viewers.debug_key, VIEW_REQUEST, encode_record(query.request), query.signature, context
    )
    return query.request.style or EVERYTHING


def _verify_sender(viewers: Viewers, query: ViewQuery, sent: Sent) -> None:
    request = query.request
    if request.style:
        raise refused(5, "a sender sees his own call; only the debug key may choose a trace")
    try:
        signer = evm_native.recover_signer(view_digest(request, viewers.chain_id), query.signature)
    except evm_native.ConfigError:
        signer = b""
    if signer != sent.sender:
        raise refused(5, "the view request is not signed by the sender of the transaction")
    if sent.envelope_key is not None and request.asker != sent.envelope_key:
        raise refused(
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
        raise refused(3, f"round {header.round} did not run in an epoch that is to come")
    batch = TraceQuery(query.transactions[: position + 1], header.hash(), position, style)
    answer = replay(batch, hindsight.keys_in(epoch), epoch)
    traced: TracedTransaction
    (traced,) = decode_record(Traces, answer).transactions
    if traced.result != query.results[position]:
        raise refused(6, "the replay ends otherwise than the round: it ran in another epoch")
    return traced.trace
