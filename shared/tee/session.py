"""
Attested sessions: two enclaves talk, and those who carry their bytes learn nothing.

Shaped as SIGMA in Noise's clothes. Both sides send fresh X25519 keys; each then shows, encrypted,
the quote that names its RAK, and the RAK's signature over all that was said before. Afterwards a
request and its response share a counter, which is their nonce, so neither can be replayed, swapped
or answered twice. Bytes in, bytes out; who carries them is not this module's business.

| kind | from | message |
|---|---|---|
| 1 | initiator | hello: ephemeral key |
| 2 | responder | answer: ephemeral key ‖ sealed evidence |
| 3 | initiator | proof: sealed evidence |
| 4 | responder | confirmation: nothing, sealed under the traffic key |
| 5 | initiator | request: counter ‖ sealed plaintext |
| 6 | responder | response: counter ‖ sealed plaintext |

A failed handshake ends the session. A bad message afterwards is refused and changes nothing, since
any carrier can make one. Source: oasis-core runtime/src/enclave_rpc/session.rs @ f9f1fdc; differs:
signatures over the transcript instead of over a static Noise key, and counters for concurrency.
"""

from dataclasses import dataclass, field

import nacl.bindings
import nacl.exceptions

from shared.crypto.entropy import Entropy
from shared.crypto.hashes import kmac256
from shared.errors import Rejected
from shared.tee.session_evidence import (
    INITIATOR,
    RESPONDER,
    PeerIdentity,
    PeerPolicy,
    SessionEvidence,
    SessionIdentity,
    build_evidence,
    judge_evidence,
    verify_evidence,
)
from shared.tee.session_messages import (
    ANSWER,
    CONFIRMATION,
    COUNTER_BYTES,
    HELLO,
    KEY_BYTES,
    PROOF,
    REQUEST,
    RESPONSE,
    MalformedSessionMessage,
    SessionMessageForged,
    advance_transcript,
    exchange_keys,
    expect_body,
    open_message,
    seal_message,
)

PROTOCOL = b"qanat/session: transcript v1 (insecure mock)"
HANDSHAKE = b"qanat/session: handshake keys (insecure mock)"
TRAFFIC = b"qanat/session: traffic keys (insecure mock)"

REPLAY_WINDOW = 1024
"""How far a request may come behind the newest one [requests]: many are under way at once."""
LAST_COUNTER = 2**63


class SessionMessageReplayed(Rejected, module="session", code=3):
    """The message was received before, or is so far behind that nobody can tell."""


class OutOfTurn(Rejected, module="session", code=4):
    """The session is not where this message or call belongs."""


@dataclass(frozen=True, slots=True)
class _Fresh:
    """Nothing was sent yet."""


@dataclass(frozen=True, slots=True)
class _AwaitingAnswer:
    """Initiator: hello is sent."""

    secret: bytes = field(repr=False)
    transcript: bytes


@dataclass(frozen=True, slots=True)
class _AwaitingProof:
    """Responder: answer is sent."""

    shared_secret: bytes = field(repr=False)
    initiator_key: bytes = field(repr=False)
    transcript: bytes


@dataclass(frozen=True, slots=True)
class _AwaitingConfirmation:
    """Initiator: proof is sent."""

    request_key: bytes = field(repr=False)
    response_key: bytes = field(repr=False)
    peer: PeerIdentity
    evidence: SessionEvidence


@dataclass(frozen=True, slots=True)
class _Established:
    """Both sides are known."""

    request_key: bytes = field(repr=False)
    response_key: bytes = field(repr=False)
    peer: PeerIdentity
    evidence: SessionEvidence
    """What the peer showed in the handshake."""


@dataclass(frozen=True, slots=True)
class _Ended:
    """The handshake failed."""


class SessionInitiator:
    """The side that asks. Not safe for threads; see `SessionClient`."""

    def __init__(self, identity: SessionIdentity, policy: PeerPolicy, entropy: Entropy) -> None:
        self._identity, self._policy, self._entropy = identity, policy, entropy
        self._state: _Fresh | _AwaitingAnswer | _AwaitingConfirmation | _Established | _Ended = (
            _Fresh()
        )
        self._next_counter = 1
        self._unanswered: set[int] = set()

    def hello(self) -> bytes:
        """Begin: 33 bytes."""
        if not isinstance(self._state, _Fresh):
            raise OutOfTurn("the session has begun already")
        secret = self._entropy.draw("session ephemeral key", KEY_BYTES)
        message = bytes([HELLO]) + nacl.bindings.crypto_scalarmult_base(secret)
        self._state = _AwaitingAnswer(secret, advance_transcript(PROTOCOL, message))
        return message

    def prove(self, untrusted_answer: bytes) -> bytes:
        """
        Verify the responder and show who we are.

        Raises
        ------
        Rejected
            Of this module, of attestation, or `UnknownEnclave`; the session has then ended.
        """
        state = self._state
        if not isinstance(state, _AwaitingAnswer):
            raise OutOfTurn("no answer is due")
        self._state = _Ended()
        body = expect_body(untrusted_answer, ANSWER, KEY_BYTES)
        key, sealed = body[:KEY_BYTES], body[KEY_BYTES:]
        shared_secret = exchange_keys(state.secret, key)
        transcript = advance_transcript(state.transcript, bytes([ANSWER]) + key)
        keys = kmac256(shared_secret, transcript, HANDSHAKE, 2 * KEY_BYTES)
        shown = open_message(keys[KEY_BYTES:], 0, bytes([ANSWER]), sealed)
        evidence = verify_evidence(shown, RESPONDER, transcript)
        peer = judge_evidence(evidence, self._policy)
        transcript = advance_transcript(transcript, sealed)
        sealed = seal_message(
            keys[:KEY_BYTES],
            0,
            bytes([PROOF]),
            build_evidence(self._identity, INITIATOR, transcript),
        )
        traffic = kmac256(
            shared_secret, advance_transcript(transcript, sealed), TRAFFIC, 2 * KEY_BYTES
        )
        self._state = _AwaitingConfirmation(
            traffic[:KEY_BYTES], traffic[KEY_BYTES:], peer, evidence
        )
        return bytes([PROOF]) + sealed

    def confirm(self, untrusted_confirmation: bytes) -> None:
        """Take the responder's word that it accepted us; requests may follow."""
        state = self._state
        if not isinstance(state, _AwaitingConfirmation):
            raise OutOfTurn("no confirmation is due")
        self._state = _Ended()
        body = expect_body(untrusted_confirmation, CONFIRMATION)
        if open_message(state.response_key, 0, bytes([CONFIRMATION]), body):
            raise MalformedSessionMessage("a confirmation is empty")
        self._state = _Established(
            state.request_key, state.response_key, state.peer, state.evidence
        )

    @property
    def peer(self) -> PeerIdentity:
        """Who answered, verified."""
        return self._established().peer

    def judge_peer(self, policy: PeerPolicy) -> None:
        """Judge the responder again, by what holds now; raises as `judge_evidence`."""
        judge_evidence(self._established().evidence, policy)

    def seal_request(self, plaintext: bytes) -> tuple[int, bytes]:
        """Seal a request; its counter opens the response."""
        state = self._established()
        counter = self._next_counter
        if counter > LAST_COUNTER:
            raise OutOfTurn("the session has no counters left")
        self._next_counter += 1
        # A request whose carrier failed is given up once enough others have followed.
        self._unanswered.discard(counter - REPLAY_WINDOW)
        self._unanswered.add(counter)
        head = bytes([REQUEST]) + counter.to_bytes(COUNTER_BYTES, "big")
        return counter, head + seal_message(state.request_key, counter, head, plaintext)

    def open_response(self, counter: int, untrusted: bytes) -> bytes:
        """
        Open the response to a request of ours.

        Raises
        ------
        SessionMessageReplayed
            That request has been answered already, or was never sent.
        SessionMessageForged, MalformedSessionMessage
            The response is not the responder's, or answers another request.
        """
        state = self._established()
        if counter not in self._unanswered:
            raise SessionMessageReplayed(f"request {counter} does not wait for a response")
        body = expect_body(untrusted, RESPONSE, COUNTER_BYTES)
        head = bytes([RESPONSE]) + counter.to_bytes(COUNTER_BYTES, "big")
        if untrusted[: len(head)] != head:
            raise SessionMessageForged("the response is to another request")
        plaintext = open_message(state.response_key, counter, head, body[COUNTER_BYTES:])
        self._unanswered.discard(counter)
        return plaintext

    def _established(self) -> _Established:
        if not isinstance(self._state, _Established):
            raise OutOfTurn("the session is not established")
        return self._state


class SessionResponder:
    """The side that answers. Not safe for threads; see `SessionServer`."""

    def __init__(self, identity: SessionIdentity, policy: PeerPolicy, entropy: Entropy) -> None:
        self._identity, self._policy, self._entropy = identity, policy, entropy
        self._state: _Fresh | _AwaitingProof | _Established | _Ended = _Fresh()
        self._newest = 0
        self._seen: set[int] = set()
        self._unanswered: set[int] = set()

    def answer_hello(self, untrusted_hello: bytes) -> bytes:
        """Answer a hello with our key and evidence."""
        if not isinstance(self._state, _Fresh):
            raise OutOfTurn("the session has begun already")
        self._state = _Ended()
        peer_key = expect_body(untrusted_hello, HELLO)
        secret = self._entropy.draw("session ephemeral key", KEY_BYTES)
        key = nacl.bindings.crypto_scalarmult_base(secret)
        shared_secret = exchange_keys(secret, peer_key)
        head = bytes([ANSWER]) + key
        transcript = advance_transcript(advance_transcript(PROTOCOL, untrusted_hello), head)
        keys = kmac256(shared_secret, transcript, HANDSHAKE, 2 * KEY_BYTES)
        evidence = build_evidence(self._identity, RESPONDER, transcript)
        sealed = seal_message(keys[KEY_BYTES:], 0, bytes([ANSWER]), evidence)
        self._state = _AwaitingProof(
            shared_secret, keys[:KEY_BYTES], advance_transcript(transcript, sealed)
        )
        return head + sealed

    def answer_proof(self, untrusted_proof: bytes) -> bytes:
        """
        Verify the initiator and confirm the session.

        Raises
        ------
        Rejected
            Of this module, of attestation, or `UnknownEnclave`; the session has then ended.
        """
        state = self._state
        if not isinstance(state, _AwaitingProof):
            raise OutOfTurn("no proof is due")
        self._state = _Ended()
        sealed = expect_body(untrusted_proof, PROOF)
        shown = open_message(state.initiator_key, 0, bytes([PROOF]), sealed)
        evidence = verify_evidence(shown, INITIATOR, state.transcript)
        peer = judge_evidence(evidence, self._policy)
        transcript = advance_transcript(state.transcript, sealed)
        traffic = kmac256(state.shared_secret, transcript, TRAFFIC, 2 * KEY_BYTES)
        self._state = _Established(traffic[:KEY_BYTES], traffic[KEY_BYTES:], peer, evidence)
        head = bytes([CONFIRMATION])
        return head + seal_message(traffic[KEY_BYTES:], 0, head, b"")

    @property
    def peer(self) -> PeerIdentity:
        """Who asks, verified."""
        return self._established().peer

    def judge_peer(self, policy: PeerPolicy) -> None:
        """Judge the initiator again, by what holds now; raises as `judge_evidence`."""
        judge_evidence(self._established().evidence, policy)

    @property
    def is_established(self) -> bool:
        """Whether requests may come."""
        return isinstance(self._state, _Established)

    def open_request(self, untrusted: bytes) -> tuple[int, bytes]:
        """
        Open a request: its counter and plaintext.

        Raises
        ------
        SessionMessageReplayed
            It came before, or more than `REPLAY_WINDOW` behind the newest.
        SessionMessageForged, MalformedSessionMessage
            It is not the initiator's.
        """
        state = self._established()
        body = expect_body(untrusted, REQUEST, COUNTER_BYTES)
        counter = int.from_bytes(body[:COUNTER_BYTES], "big")
        if not 0 < counter <= LAST_COUNTER:
            raise MalformedSessionMessage(f"counter {counter} is none of a request")
        if counter in self._seen or counter <= self._newest - REPLAY_WINDOW:
            raise SessionMessageReplayed(f"request {counter} came before, or is too far behind")
        head = untrusted[: 1 + COUNTER_BYTES]
        plaintext = open_message(state.request_key, counter, head, body[COUNTER_BYTES:])
        # Only what is authentic moves the window.
        self._seen.add(counter)
        if counter > self._newest:
            self._newest = counter
            oldest = self._newest - REPLAY_WINDOW
            self._seen = {seen for seen in self._seen if seen > oldest}
            self._unanswered = {waits for waits in self._unanswered if waits > oldest}
        self._unanswered.add(counter)
        return counter, plaintext

    def seal_response(self, counter: int, plaintext: bytes) -> bytes:
        """Seal the one response to a request; a second one would use its nonce twice."""
        state = self._established()
        if counter not in self._unanswered:
            raise OutOfTurn(f"request {counter} does not wait for a response")
        self._unanswered.discard(counter)
        head = bytes([RESPONSE]) + counter.to_bytes(COUNTER_BYTES, "big")
        return head + seal_message(state.response_key, counter, head, plaintext)

    def _established(self) -> _Established:
        if not isinstance(self._state, _Established):
            raise OutOfTurn("the session is not established")
        return self._state
