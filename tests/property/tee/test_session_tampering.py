"""Whatever carriers do to the bytes of a session, they can only stop it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from shared.errors import Rejected
from shared.tee.session import SessionInitiator, SessionResponder
from tests.support import mock_tee
from tests.support.mock_tee import ENCLAVE, OTHER_ENCLAVE, entropy, peer_policy
from tests.support.short_run import examples

COMPUTE = mock_tee.session_identity("compute", ENCLAVE)
KEY_MANAGER = mock_tee.session_identity("key manager", OTHER_ENCLAVE)


def pair():
    return (
        SessionInitiator(COMPUTE, peer_policy(OTHER_ENCLAVE), entropy("initiator")),
        SessionResponder(KEY_MANAGER, peer_policy(ENCLAVE), entropy("responder")),
    )


def untouched(_step, message):
    return message


def establish(tamper=untouched):
    initiator, responder = pair()
    answer = responder.answer_hello(tamper(0, initiator.hello()))
    proof = initiator.prove(tamper(1, answer))
    initiator.confirm(tamper(2, responder.answer_proof(tamper(3, proof))))
    return initiator, responder


def flip(message, bit):
    changed = bytearray(message)
    bit %= 8 * len(message)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@settings(max_examples=examples(200))
@given(st.integers(0, 3), st.integers(0, 2**20))
def test_a_flipped_bit_in_the_handshake_ends_it(step, bit):
    # The top bit of an X25519 key is no part of it, but the transcript has it.
    def tamper(now, message):
        return flip(message, bit) if now == step else message

    with pytest.raises(Rejected):
        establish(tamper)


@settings(max_examples=examples(100))
@given(st.integers(0, 3), st.data())
def test_a_cut_or_longer_handshake_message_ends_it(step, data):
    def tamper(now, message):
        if now != step:
            return message
        cut = data.draw(st.integers(0, len(message) - 1))
        return data.draw(st.sampled_from([message[:cut], message + bytes([cut % 256])]))

    with pytest.raises(Rejected):
        establish(tamper)


@given(st.binary(max_size=200), st.integers(0, 6))
def test_any_bytes_are_refused_with_a_typed_error(noise, kind):
    noise = bytes([kind]) + noise
    initiator, responder = establish()
    counter, _ = initiator.seal_request(b"")
    fresh_initiator, fresh_responder = pair()
    fresh_initiator.hello()
    for receive in (
        responder.open_request,
        responder.answer_proof,
        fresh_initiator.prove,
        lambda message: initiator.open_response(counter, message),
    ):
        with pytest.raises(Rejected):
            receive(noise)
    if kind != 1 or len(noise) != 33:
        with pytest.raises(Rejected):
            fresh_responder.answer_hello(noise)


class Carrier(RuleBasedStateMachine):
    """A carrier who reorders, repeats and damages requests and answers at will."""

    def __init__(self):
        super().__init__()
        self.initiator, self.responder = establish()
        self.sent = {}  # counter: (plaintext, message)
        self.received = set()
        self.answers = {}
        self.done = set()

    @rule(plaintext=st.binary(max_size=40))
    def ask(self, plaintext):
        counter, message = self.initiator.seal_request(plaintext)
        assert counter not in self.sent
        self.sent[counter] = plaintext, message

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def deliver(self, data):
        counter = data.draw(st.sampled_from(sorted(self.sent)))
        plaintext, message = self.sent[counter]
        if counter in self.received:
            with pytest.raises(Rejected):
                self.responder.open_request(message)
            return
        assert self.responder.open_request(message) == (counter, plaintext)
        self.received.add(counter)
        self.answers[counter] = self.responder.seal_response(counter, plaintext[::-1])

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), bit=st.integers(0, 2**12))
    def damage_request(self, data, bit):
        counter = data.draw(st.sampled_from(sorted(self.sent)))
        with pytest.raises(Rejected):
            self.responder.open_request(flip(self.sent[counter][1], bit))

    @precondition(lambda self: self.answers)
    @rule(data=st.data())
    def answer(self, data):
        asked = data.draw(st.sampled_from(sorted(self.sent)))
        given_ = data.draw(st.sampled_from(sorted(self.answers)))
        if asked == given_ and asked not in self.done:
            plaintext = self.initiator.open_response(asked, self.answers[given_])
            assert plaintext == self.sent[asked][0][::-1]
            self.done.add(asked)
            return
        with pytest.raises(Rejected):
            self.initiator.open_response(asked, self.answers[given_])

    @precondition(lambda self: self.answers)
    @rule(data=st.data(), bit=st.integers(0, 2**12))
    def damage_answer(self, data, bit):
        counter = data.draw(st.sampled_from(sorted(self.answers)))
        with pytest.raises(Rejected):
            self.initiator.open_response(counter, flip(self.answers[counter], bit))

    @invariant()
    def peers_stay_who_they_are(self):
        assert self.initiator.peer.enclave == OTHER_ENCLAVE
        assert self.responder.peer.enclave == ENCLAVE


TestCarrier = Carrier.TestCase
TestCarrier.settings = settings(max_examples=examples(40), stateful_step_count=30)
