"""Spans of the transactions that clients handed in here, told in the trace of their round."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from services.gateway.encryption import ASKER
from services.gateway.index.chain_index import ChainIndex
from services.gateway.index.rounds import IndexedRound
from shared.kit.spans import SpanContext
from shared.kit.tracing import active, begin_ns, now_ns, read_traceparent
from shared.types.identity import RuntimeId

MAX_REQUESTS = 10_000
"""Requests whose transactions are in no round yet; the oldest make room, and have no spans."""
TRACEPARENT = b"traceparent"


@dataclass(slots=True)
class SentTransaction:
    """One request that hands in a transaction."""

    begun_ns: int
    client: SpanContext | None
    """Span of the client, as its request says; a link is made of it, and nothing else."""
    admitted_ns: int = 0
    """When the pool had it."""
    ended_ns: int = 0
    root: SpanContext | None = None
    """Of its round, once that is known."""

    def note_admitted(self) -> None:
        """Note that a pool took the transaction."""
        self.admitted_ns = now_ns()


class SendTraces:
    """Knows which requests wait for which transaction, where anything is traced."""

    def __init__(self, runtime_id: RuntimeId, index: ChainIndex) -> None:
        self._runtime_id, self._index = runtime_id, index
        self._sent: dict[bytes, SentTransaction] = {}
        index.listen(self._apply_round)
        index.listen_to_rewinds(lambda *_: self._sent.clear())

    @contextmanager
    def sending(self, hash_: bytes) -> Iterator[SentTransaction | None]:
        """Follow a request for as long as the context is open; None where nothing is traced."""
        begun_ns = begin_ns()
        if not begun_ns or hash_ in self._sent:
            yield None
            return
        if len(self._sent) >= MAX_REQUESTS:
            del self._sent[next(iter(self._sent))]
        sent = SentTransaction(begun_ns, read_traceparent(ASKER.get()[1].get(TRACEPARENT)))
        self._sent[hash_] = sent
        try:
            yield sent
        finally:
            sent.ended_ns = now_ns()
            if sent.root is not None:
                _tell(sent)
            elif not sent.admitted_ns:
                # Refused, or nobody answered: no round will hold it.
                self._sent.pop(hash_, None)

    def _apply_round(self, round_: IndexedRound) -> None:
        tracer = active()
        if tracer is None or not self._sent:
            return
        hashes = (one.record.hash for one in (*round_.transactions, *round_.natives))
        here = [sent for one in hashes if (sent := self._sent.pop(one, None)) is not None]
        if not here:
            return
        root = tracer.round_root(self._runtime_id, self._index.incarnation, round_.number)
        begun_ns = min(sent.begun_ns for sent in here)
        tracer.record_root(root, begun_ns, now_ns(), {"round": round_.number})
        for sent in here:
            sent.root = root
            if sent.ended_ns:
                _tell(sent)


def _tell(sent: SentTransaction) -> None:
    tracer = active()
    if tracer is None or sent.root is None:
        return
    links = () if sent.client is None else (sent.client,)
    request = tracer.record("gateway.send", sent.root, sent.begun_ns, sent.ended_ns, links=links)
    if sent.admitted_ns:
        tracer.record("gateway.submit", request, sent.begun_ns, sent.admitted_ns)
