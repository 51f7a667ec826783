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
from shared.crypto.hashes import kmac256, sha512_256
from shared.crypto.signing import (
    BadSignature,
    Context,
    Signer,
    register_context,
    verify_signature,
)
from shared.encoding.record import Bytes64, decode_record, encode_record
from shared.errors import Rejected
from shared.tee.attestation import (
    UnknownEnclave,
    find_root_ca,
    verify_rak_binding,
)
from shared.tee.collateral import verify_edition
from shared.tee.platform import QuoteWithCollateral
from shared.tee.quote_verification import authenticate_quote, verify_policy
from shared.types.attestation import (
    Collateral,
    CollateralEdition,
    EnclaveIdentity,
    QuotePolicy,
)
from shared.types.identity import PublicKey

RESPONDER = register_context("qanat/session: responder (insecure mock)")
INITIATOR = register_context("qanat/session: initiator (insecure mock)")
PROTOCOL = b"qanat/session: transcript v1 (insecure mock)"
HANDSHAKE = b"qanat/session: handshake keys (insecure mock)"
TRAFFIC = b"qanat/session: traffic keys (insecure mock)"

HELLO, ANSWER, PROOF, CONFIRMATION, REQUEST, RESPONSE = range(1, 7)
KEY_BYTES = 32
COUNTER_BYTES = 8
NONCE_BYTES = 12
TAG_BYTES = 16
REPLAY_WINDOW = 1024
"""How far a request may come behind the newest one [requests]: many are under way at once."""
LAST_COUNTER = 2**63


class MalformedSessionMessage(Rejected, module="session", code=1):
    """The bytes are not a session message of the kind that is due."""


class SessionMessageForged(Rejected, module="session", code=2):
    """The message was not sealed by the other end of this session, or was changed on the way."""


class SessionMessageReplayed(Rejected, module="session", code=3):
    """The message was received before, or is so far behind that nobody can tell."""


class OutOfTurn(Rejected, module="session", code=4):
    """The session is not where this message or call belongs."""


class BadSessionSignature(Rejected, module="session", code=5):
    """The RAK in the evidence did not sign this handshake."""


@dataclass(frozen=True, slots=True)
class SessionIdentity:
    """What an enclave shows of itself."""

    rak: Signer
    quoted: QuoteWithCollateral
    """A quote that binds the RAK."""


@dataclass(frozen=True, slots=True)
class PeerPolicy:
    """Whom an enclave talks to."""

    root_ca_hash: bytes
    """SHA-256 of the pinned root certificate, DER."""
    quote_policy: QuotePolicy
    now_s: int
    """Verified consensus time [Unix s]."""
    enclaves: tuple[EnclaveIdentity, ...] | None = None
    """None: any genuine enclave; what it may have is then decided for each request."""
    editions: tuple[CollateralEdition, ...] = ()
    """The least that is asked of the collateral of these platform families."""


@dataclass(frozen=True, slots=True)
class PeerIdentity:
    """Who is at the other end, verified."""

    enclave: EnclaveIdentity
    rak: PublicKey


@dataclass(frozen=True, slots=True)
class SessionEvidence:
    """What travels, sealed, in the handshake."""

    rak: PublicKey
    quote: bytes
    collateral: Collateral
    signature: Bytes64
    """By the RAK over the transcript so far."""


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
        self._state = _AwaitingAnswer(secret, _advance(PROTOCOL, message))
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
        body = _body(untrusted_answer, ANSWER, KEY_BYTES)
        key, sealed = body[:KEY_BYTES], body[KEY_BYTES:]
        shared_secret = _exchange(state.secret, key)
        transcript = _advance(state.transcript, bytes([ANSWER]) + key)
        keys = kmac256(shared_secret, transcript, HANDSHAKE, 2 * KEY_BYTES)
        shown = _open(keys[KEY_BYTES:], 0, bytes([ANSWER]), sealed)
        evidence = _verify_evidence(shown, RESPONDER, transcript)
        peer = judge_evidence(evidence, self._policy)
        transcript = _advance(transcript, sealed)
        sealed = _seal(
            keys[:KEY_BYTES], 0, bytes([PROOF]), _evidence(self._identity, INITIATOR, transcript)
        )
        traffic = kmac256(shared_secret, _advance(transcript, sealed), TRAFFIC, 2 * KEY_BYTES)
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
        body = _body(untrusted_confirmation, CONFIRMATION)
        if _open(state.response_key, 0, bytes([CONFIRMATION]), body):
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
        return counter, head + _seal(state.request_key, counter, head, plaintext)

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
        body = _body(untrusted, RESPONSE, COUNTER_BYTES)
        head = bytes([RESPONSE]) + counter.to_bytes(COUNTER_BYTES, "big")
        if untrusted[: len(head)] != head:
            raise SessionMessageForged("the response is to another request")
        plaintext = _open(state.response_key, counter, head, body[COUNTER_BYTES:])
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
        peer_key = _body(untrusted_hello, HELLO)
        secret = self._entropy.draw("session ephemeral key", KEY_BYTES)
        key = nacl.bindings.crypto_scalarmult_base(secret)
        shared_secret = _exchange(secret, peer_key)
        head = bytes([ANSWER]) + key
        transcript = _advance(_advance(PROTOCOL, untrusted_hello), head)
        keys = kmac256(shared_secret, transcript, HANDSHAKE, 2 * KEY_BYTES)
        evidence = _evidence(self._identity, RESPONDER, transcript)
        sealed = _seal(keys[KEY_BYTES:], 0, bytes([ANSWER]), evidence)
        self._state = _AwaitingProof(shared_secret, keys[:KEY_BYTES], _advance(transcript, sealed))
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
        sealed = _body(untrusted_proof, PROOF)
        shown = _open(state.initiator_key, 0, bytes([PROOF]), sealed)
        evidence = _verify_evidence(shown, INITIATOR, state.transcript)
        peer = judge_evidence(evidence, self._policy)
        transcript = _advance(state.transcript, sealed)
        traffic = kmac256(state.shared_secret, transcript, TRAFFIC, 2 * KEY_BYTES)
        self._state = _Established(traffic[:KEY_BYTES], traffic[KEY_BYTES:], peer, evidence)
        head = bytes([CONFIRMATION])
        return head + _seal(traffic[KEY_BYTES:], 0, head, b"")

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
        body = _body(untrusted, REQUEST, COUNTER_BYTES)
        counter = int.from_bytes(body[:COUNTER_BYTES], "big")
        if not 0 < counter <= LAST_COUNTER:
            raise MalformedSessionMessage(f"counter {counter} is none of a request")
        if counter in self._seen or counter <= self._newest - REPLAY_WINDOW:
            raise SessionMessageReplayed(f"request {counter} came before, or is too far behind")
        head = untrusted[: 1 + COUNTER_BYTES]
        plaintext = _open(state.request_key, counter, head, body[COUNTER_BYTES:])
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
        return head + _seal(state.response_key, counter, head, plaintext)

    def _established(self) -> _Established:
        if not isinstance(self._state, _Established):
            raise OutOfTurn("the session is not established")
        return self._state


def _body(untrusted: bytes, kind: int, least: int = 0) -> bytes:
    if len(untrusted) < 1 + least or untrusted[0] != kind:
        raise MalformedSessionMessage(f"not a session message of kind {kind}")
    return untrusted[1:]


def _advance(transcript: bytes, message: bytes) -> bytes:
    return sha512_256(sha512_256(transcript) + sha512_256(message))


def _exchange(secret: bytes, peer_key: bytes) -> bytes:
    if len(peer_key) != KEY_BYTES:
        raise MalformedSessionMessage(f"an ephemeral key has {KEY_BYTES} bytes")
    try:
        return nacl.bindings.crypto_scalarmult(secret, peer_key)
    except nacl.exceptions.RuntimeError:
        # A point of small order would make the secret known to everybody.
        raise MalformedSessionMessage("the ephemeral key is of small order") from None


def _seal(key: bytes, counter: int, head: bytes, plaintext: bytes) -> bytes:
    nonce = counter.to_bytes(NONCE_BYTES, "big")
    return nacl.bindings.crypto_aead_chacha20poly1305_ietf_encrypt(plaintext, head, nonce, key)


def _open(key: bytes, counter: int, head: bytes, sealed: bytes) -> bytes:
    if len(sealed) < TAG_BYTES:
        raise MalformedSessionMessage("the message is shorter than its own tag")
    nonce = counter.to_bytes(NONCE_BYTES, "big")
    try:
        return nacl.bindings.crypto_aead_chacha20poly1305_ietf_decrypt(sealed, head, nonce, key)
    except nacl.exceptions.CryptoError:
        raise SessionMessageForged("the message is not the other end's") from None


def _evidence(identity: SessionIdentity, context: Context, transcript: bytes) -> bytes:
    return encode_record(
        SessionEvidence(
            rak=identity.rak.public_key,
            quote=identity.quoted.quote,
            collateral=identity.quoted.collateral,
            signature=identity.rak.sign(context.anywhere(), transcript),
        )
    )


def _verify_evidence(untrusted: bytes, context: Context, transcript: bytes) -> SessionEvidence:
    evidence = decode_record(SessionEvidence, untrusted)
    # First, because it is cheap: who cannot sign does not get certificates verified.
    try:
        verify_signature(evidence.rak, context.anywhere(), transcript, evidence.signature)
    except BadSignature as error:
        raise BadSessionSignature(error.message) from error
    return evidence


def judge_evidence(evidence: SessionEvidence, policy: PeerPolicy) -> PeerIdentity:
    """
    Judge who is at the other end by what holds at the moment.

    At the handshake, and again whenever the session is used: a quote that was good enough an hour
    ago need not be now.

    Raises
    ------
    Rejected
        Of attestation, `UnknownEnclave`, or `CollateralSuperseded`.
    """
    quote = authenticate_quote(
        evidence.quote,
        evidence.collateral,
        root_ca=find_root_ca(evidence.collateral, policy.root_ca_hash),
        now_s=policy.now_s,
    )
    verify_policy(quote, policy.quote_policy, now_s=policy.now_s)
    for required in policy.editions:
        if required.family == quote.edition.family:
            verify_edition(quote.edition, required)
    if policy.enclaves is not None and quote.identity not in policy.enclaves:
        raise UnknownEnclave(f"MRENCLAVE {quote.identity.mr_enclave.hex()} is not listed")
    verify_rak_binding(quote, evidence.rak)
    return PeerIdentity(quote.identity, evidence.rak)
