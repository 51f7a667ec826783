"""
Sessions in use: a client that opens them as needed, and a server that holds many.

What carries the bytes is a function of (session id, message): in an enclave it asks the host, which
asks the other host, which asks the other enclave.
"""

import threading
from collections.abc import Callable

from shared.crypto.entropy import Entropy
from shared.errors import Rejected, Unavailable
from shared.tee.session import SessionInitiator, SessionResponder
from shared.tee.session_evidence import PeerIdentity, PeerPolicy, SessionIdentity
from shared.tee.session_messages import HELLO, PROOF

SESSIONS = 64
"""Sessions that a server holds; every node of a network has one with each key manager."""
LIFETIME_S = 3600
"""
Consensus time after which a session is opened anew, with new keys [s].

Quotes are judged at each use, by the policy, time and revocations that are proven then.
"""

Relay = Callable[[bytes, bytes], bytes]
"""Carries a message of a session (id, message) to the other enclave; gives its answer."""
Answer = Callable[[PeerIdentity, bytes], bytes]
"""Answers the plaintext of a request, knowing who asks."""


class SessionUnknown(Unavailable, module="session", code=6):
    """The enclave has no such session: it restarted, or the session is old. Open another."""


class SessionClient:
    """The asking side of a lasting relation to one enclave. Safe for threads."""

    def __init__(
        self,
        relay: Relay,
        identity: Callable[[], SessionIdentity],
        policy: Callable[[], PeerPolicy],
        entropy: Entropy,
    ) -> None:
        """
        Prepare; nothing is sent before the first question.

        `identity` and `policy` are asked at each handshake, as both change with time.
        """
        self._relay, self._identity, self._policy = relay, identity, policy
        self._entropy = entropy
        self._lock = threading.Lock()
        """Of what is kept here. Nothing waits for an answer while it is held."""
        self._opening = threading.Lock()
        """One thread opens a session; those that need one wait for it."""
        self._open: tuple[bytes, SessionInitiator] | None = None

    def ask(self, plaintext: bytes) -> bytes:
        """
        Send a request and give the response, opening a session where there is none.

        The request is sent a second time where the other enclave has forgotten the session, so it
        must be one that may be repeated.

        Raises
        ------
        Rejected
            The other enclave is not one to talk to, refused us, or a message was forged.
        Unavailable
            Nobody answers.
        """
        session_id, session = self._session()
        try:
            return self._exchange(session_id, session, plaintext)
        except SessionUnknown:
            self._forget(session_id)
        session_id, session = self._session()
        return self._exchange(session_id, session, plaintext)

    @property
    def peer(self) -> PeerIdentity | None:
        """Who answers, verified; None before the first question."""
        opened = self._open
        return None if opened is None else opened[1].peer

    def close(self) -> None:
        """Forget the session, so that the next question judges the other side anew."""
        with self._lock:
            self._open = None

    def _session(self) -> tuple[bytes, SessionInitiator]:
        opened = self._open
        if opened is not None:
            try:
                opened[1].judge_peer(self._policy())
            except Rejected:
                # It may have better evidence by now, and shows it in a new handshake.
                self._forget(opened[0])
            else:
                return opened
        with self._opening:
            opened = self._open
            if opened is None:
                session_id = self._entropy.draw("session id", 32)
                session = SessionInitiator(self._identity(), self._policy(), self._entropy)
                proof = session.prove(self._relay(session_id, session.hello()))
                session.confirm(self._relay(session_id, proof))
                opened = session_id, session
                with self._lock:
                    self._open = opened
            return opened

    def _forget(self, session_id: bytes) -> None:
        with self._lock:
            if self._open is not None and self._open[0] == session_id:
                self._open = None

    def _exchange(self, session_id: bytes, session: SessionInitiator, plaintext: bytes) -> bytes:
        with self._lock:
            counter, message = session.seal_request(plaintext)
        answer = self._relay(session_id, message)
        with self._lock:
            return session.open_response(counter, answer)


class SessionServer:
    """
    The answering side: many sessions, the least recently used makes room.

    Session ids are chosen by those who ask and seen by those who carry; they only name a session.
    Somebody who opens many can push others out, and those then open again. Safe for threads.
    """

    def __init__(
        self,
        identity: Callable[[], SessionIdentity],
        policy: Callable[[], PeerPolicy],
        entropy: Entropy,
    ) -> None:
        self._identity, self._policy, self._entropy = identity, policy, entropy
        self._lock = threading.Lock()
        self._sessions: dict[bytes, tuple[SessionResponder, int]] = {}

    def call(self, session_id: bytes, untrusted: bytes, answer: Answer) -> bytes:
        """
        Answer one message of a session, whichever kind it is.

        Raises
        ------
        SessionUnknown
            There is no such session, or it is over.
        Rejected
            The handshake or the message is refused.
        """
        policy = self._policy()
        with self._lock:
            if untrusted[:1] == bytes([HELLO]):
                return self._begin(session_id, untrusted, policy)
            session = self._find(session_id, policy.now_s)
            if untrusted[:1] == bytes([PROOF]):
                return self._prove(session_id, session, untrusted)
            if not session.is_established:
                raise SessionUnknown("the session is not established")
            try:
                session.judge_peer(policy)
            except Rejected as refusal:
                # For good: who has better evidence by now shows it in a new handshake.
                del self._sessions[session_id]
                raise SessionUnknown(f"the session is over: {refusal.message}") from refusal
            counter, plaintext = session.open_request(untrusted)
        response = answer(session.peer, plaintext)
        with self._lock:
            return session.seal_response(counter, response)

    def forget_all(self) -> None:
        """Have everybody open a new session: what the others were judged by is void."""
        with self._lock:
            self._sessions.clear()

    def _begin(self, session_id: bytes, untrusted: bytes, policy: PeerPolicy) -> bytes:
        session = SessionResponder(self._identity(), policy, self._entropy)
        answer = session.answer_hello(untrusted)
        while len(self._sessions) >= SESSIONS and session_id not in self._sessions:
            del self._sessions[next(iter(self._sessions))]
        self._sessions[session_id] = session, policy.now_s
        return answer

    def _prove(self, session_id: bytes, session: SessionResponder, untrusted: bytes) -> bytes:
        was_established = session.is_established
        try:
            return session.answer_proof(untrusted)
        finally:
            if not was_established and not session.is_established:
                self._sessions.pop(session_id, None)

    def _find(self, session_id: bytes, now_s: int) -> SessionResponder:
        entry = self._sessions.pop(session_id, None)
        if entry is None:
            raise SessionUnknown("no such session")
        session, opened_s = entry
        if now_s - opened_s > LIFETIME_S:
            raise SessionUnknown("the session is old")
        # Put back at the end: the one in front is the least recently used.
        self._sessions[session_id] = entry
        return session
