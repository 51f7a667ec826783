"""Who may talk to whom, in which order."""

import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from shared.errors import PeerUnavailable
from shared.tee import session_messages as sessions
from shared.tee.attestation import RakNotBound, UnknownEnclave
from shared.tee.quote_verification import EvaluationTooOld, TcbStatusRefused, UntrustedRoot
from shared.tee.session import (
    REPLAY_WINDOW,
    OutOfTurn,
    SessionInitiator,
    SessionMessageReplayed,
    SessionResponder,
)
from shared.tee.session_evidence import PeerIdentity, SessionIdentity
from shared.tee.session_messages import MalformedSessionMessage, SessionMessageForged
from shared.tee.session_peers import (
    LIFETIME_S,
    SESSIONS,
    SessionClient,
    SessionServer,
    SessionUnknown,
)
from tests.support import mock_tee
from tests.support.mock_tee import ENCLAVE, NOW_S, OTHER_ENCLAVE, entropy, peer_policy

COMPUTE = mock_tee.session_identity("compute", ENCLAVE)
KEY_MANAGER = mock_tee.session_identity("key manager", OTHER_ENCLAVE)


def pair(*, compute=COMPUTE, key_manager=KEY_MANAGER, wanted=(OTHER_ENCLAVE,), allowed=()):
    return (
        SessionInitiator(compute, peer_policy(*wanted), entropy("initiator")),
        SessionResponder(key_manager, peer_policy(*allowed), entropy("responder")),
    )


def established(**parts):
    initiator, responder = pair(**parts)
    proof = initiator.prove(responder.answer_hello(initiator.hello()))
    initiator.confirm(responder.answer_proof(proof))
    return initiator, responder


def test_both_ends_know_who_is_at_the_other():
    initiator, responder = established()
    assert initiator.peer == PeerIdentity(OTHER_ENCLAVE, KEY_MANAGER.rak.public_key)
    assert responder.peer == PeerIdentity(ENCLAVE, COMPUTE.rak.public_key)


def test_request_and_response_arrive():
    initiator, responder = established()
    counter, request = initiator.seal_request(b"question")
    received, question = responder.open_request(request)
    assert question == b"question"
    assert initiator.open_response(counter, responder.seal_response(received, b"answer")) == (
        b"answer"
    )


def test_carriers_see_no_plaintext_and_no_evidence():
    initiator, responder = pair()
    seen = [initiator.hello()]
    seen.append(responder.answer_hello(seen[-1]))
    seen.append(initiator.prove(seen[-1]))
    seen.append(responder.answer_proof(seen[-1]))
    initiator.confirm(seen[-1])
    seen.append(initiator.seal_request(b"the question is plain")[1])
    carried = b"".join(seen)
    assert b"the question is plain" not in carried
    assert COMPUTE.rak.public_key not in carried
    assert KEY_MANAGER.quoted.quote[:64] not in carried


def test_requests_may_overtake_each_other():
    initiator, responder = established()
    sealed = [initiator.seal_request(bytes([number])) for number in range(4)]
    answers = {}
    for counter, message in (sealed[2], sealed[0], sealed[3], sealed[1]):
        received, plaintext = responder.open_request(message)
        answers[counter] = responder.seal_response(received, plaintext)
    for number, (counter, _) in enumerate(sealed):
        assert initiator.open_response(counter, answers[counter]) == bytes([number])


def test_answers_cannot_be_swapped():
    initiator, responder = established()
    counters, answers = [], []
    for text in (b"one", b"two"):
        counter, message = initiator.seal_request(text)
        received, plaintext = responder.open_request(message)
        counters.append(counter)
        answers.append(responder.seal_response(received, plaintext))
    with pytest.raises(SessionMessageForged):
        initiator.open_response(counters[0], answers[1])
    assert initiator.open_response(counters[0], answers[0]) == b"one"


def test_replayed_request_and_response_are_refused():
    initiator, responder = established()
    counter, message = initiator.seal_request(b"once")
    received, _ = responder.open_request(message)
    with pytest.raises(SessionMessageReplayed):
        responder.open_request(message)
    answer = responder.seal_response(received, b"once")
    with pytest.raises(OutOfTurn):
        responder.seal_response(received, b"twice")
    initiator.open_response(counter, answer)
    with pytest.raises(SessionMessageReplayed):
        initiator.open_response(counter, answer)


def test_request_behind_the_window_is_refused():
    initiator, responder = established()
    sealed = [initiator.seal_request(b"")[1] for _ in range(REPLAY_WINDOW + 1)]
    responder.open_request(sealed[-1])
    responder.open_request(sealed[1])
    with pytest.raises(SessionMessageReplayed):
        responder.open_request(sealed[0])


def test_messages_of_another_session_are_forged():
    one, other = established(), established(compute=mock_tee.session_identity("another"))
    _, message = one[0].seal_request(b"secret")
    with pytest.raises(SessionMessageForged):
        other[1].open_request(message)


def test_own_messages_reflected_are_refused():
    initiator, _ = established()
    counter, message = initiator.seal_request(b"secret")
    with pytest.raises(MalformedSessionMessage):
        initiator.open_response(counter, message)
    reflected = bytes([sessions.RESPONSE]) + message[1:]
    with pytest.raises(SessionMessageForged):
        initiator.open_response(counter, reflected)


def test_initiator_refuses_code_that_it_does_not_want():
    initiator, responder = pair(wanted=(ENCLAVE,))
    with pytest.raises(UnknownEnclave):
        initiator.prove(responder.answer_hello(initiator.hello()))


def test_responder_refuses_code_that_it_does_not_serve():
    initiator, responder = pair(allowed=(OTHER_ENCLAVE,))
    proof = initiator.prove(responder.answer_hello(initiator.hello()))
    with pytest.raises(UnknownEnclave):
        responder.answer_proof(proof)


def test_enclave_of_another_network_is_refused():
    stranger = mock_tee.session_identity(
        "stranger", ENCLAVE, mock_tee.platform("node-0", "another network")
    )
    initiator, responder = pair(compute=stranger)
    proof = initiator.prove(responder.answer_hello(initiator.hello()))
    with pytest.raises(UntrustedRoot):
        responder.answer_proof(proof)


def test_stolen_quote_is_of_no_use_without_its_rak():
    thief = SessionIdentity(mock_tee.rak("thief"), COMPUTE.quoted)
    initiator, responder = pair(compute=thief)
    proof = initiator.prove(responder.answer_hello(initiator.hello()))
    with pytest.raises(RakNotBound):
        responder.answer_proof(proof)


def test_outdated_platform_is_refused():
    from qanat import cpu

    stale = mock_tee.pki().issue_collateral(NOW_S, cpu.TcbDeclaration(status="OutOfDate"))
    quoted = dataclasses.replace(COMPUTE.quoted, collateral=stale)
    initiator, responder = pair(compute=SessionIdentity(COMPUTE.rak, quoted))
    proof = initiator.prove(responder.answer_hello(initiator.hello()))
    with pytest.raises(TcbStatusRefused):
        responder.answer_proof(proof)


def test_man_in_the_middle_cannot_pass_a_signature_on():
    # The middle has an enclave of its own, and would show the key manager's evidence as its own.
    initiator, _ = pair()
    _, honest = pair()
    attacker_side = SessionInitiator(COMPUTE, peer_policy(), entropy("attacker"))
    answer = honest.answer_hello(attacker_side.hello())
    initiator.hello()
    with pytest.raises(SessionMessageForged):
        initiator.prove(answer)


@pytest.mark.parametrize("key", [bytes(32), bytes([1]) + bytes(31)])
def test_keys_of_small_order_are_refused(key):
    initiator, responder = pair()
    with pytest.raises(MalformedSessionMessage, match="small order"):
        responder.answer_hello(bytes([sessions.HELLO]) + key)
    initiator.hello()
    with pytest.raises(MalformedSessionMessage, match="small order"):
        initiator.prove(bytes([sessions.ANSWER]) + key + bytes(64))


def test_failed_handshake_ends_the_session():
    initiator, responder = pair()
    answer = responder.answer_hello(initiator.hello())
    with pytest.raises(SessionMessageForged):
        initiator.prove(answer[:-1] + bytes([answer[-1] ^ 1]))
    with pytest.raises(OutOfTurn):
        initiator.prove(answer)


def test_nothing_is_said_before_the_session_is_established():
    initiator, responder = pair()
    with pytest.raises(OutOfTurn):
        initiator.seal_request(b"secret")
    with pytest.raises(OutOfTurn):
        responder.open_request(bytes(64))
    hello = initiator.hello()
    with pytest.raises(OutOfTurn):
        initiator.hello()
    initiator.prove(responder.answer_hello(hello))
    with pytest.raises(OutOfTurn):
        initiator.seal_request(b"secret")
    with pytest.raises(OutOfTurn):
        responder.answer_hello(hello)
    with pytest.raises(OutOfTurn):
        _ = responder.peer


def test_secrets_of_a_session_do_not_show():
    initiator, _ = established()
    state = initiator._state
    assert state.request_key.hex() not in repr(state)
    assert repr(state.request_key) not in repr(state)


# -- in use ------------------------------------------------------------------------------------


class Network:
    """One key manager and those who carry its messages."""

    def __init__(self, now_s=NOW_S):
        self.now_s = now_s
        self.servers_policy = {}
        self.clients_policy = {}
        self.calls = 0
        self.restart()

    def restart(self):
        self.server = SessionServer(
            lambda: KEY_MANAGER,
            lambda: replace(peer_policy(now_s=self.now_s), **self.servers_policy),
            entropy("server"),
        )

    def relay(self, session_id, message):
        self.calls += 1
        return self.server.call(session_id, message, self.answer)

    def answer(self, peer, plaintext):
        return peer.enclave.mr_enclave[:1] + plaintext

    def client(self, name="client", identity=COMPUTE):
        return SessionClient(
            self.relay,
            lambda: identity,
            lambda: replace(peer_policy(OTHER_ENCLAVE, now_s=self.now_s), **self.clients_policy),
            entropy(name),
        )


def test_client_opens_one_session_and_keeps_it():
    network = Network()
    client = network.client()
    assert client.peer is None
    assert [client.ask(b"1"), client.ask(b"2")] == [b"a1", b"a2"]
    assert network.calls == 4
    assert client.peer == PeerIdentity(OTHER_ENCLAVE, KEY_MANAGER.rak.public_key)


def test_client_opens_anew_when_the_server_restarted():
    network = Network()
    client = network.client()
    client.ask(b"1")
    network.restart()
    assert client.ask(b"2") == b"a2"


def test_old_session_is_opened_anew():
    network = Network()
    client = network.client()
    client.ask(b"1")
    network.now_s += LIFETIME_S
    client.ask(b"2")
    calls = network.calls
    network.now_s += 1
    assert client.ask(b"3") == b"a3"
    assert network.calls == calls + 4


def test_closed_client_judges_the_other_side_anew():
    network = Network()
    client = network.client()
    client.ask(b"1")
    client.close()
    assert client.peer is None
    assert client.ask(b"2") == b"a2"
    assert network.calls == 6


def test_server_forgets_the_least_recently_used():
    network = Network()
    clients = [network.client(f"client {number}") for number in range(SESSIONS + 1)]
    for client in clients[:SESSIONS]:
        client.ask(b"")
    clients[0].ask(b"")
    clients[SESSIONS].ask(b"")
    calls = network.calls
    clients[0].ask(b"")
    assert network.calls == calls + 1
    clients[1].ask(b"")
    assert network.calls == calls + 1 + 4


def test_server_answers_no_request_without_a_handshake():
    network = Network()
    with pytest.raises(SessionUnknown):
        network.relay(bytes(32), bytes([sessions.REQUEST]) + bytes(40))
    initiator, _ = pair()
    network.relay(bytes(32), initiator.hello())
    with pytest.raises(SessionUnknown):
        network.relay(bytes(32), bytes([sessions.REQUEST]) + bytes(40))


def test_server_forgets_a_session_whose_proof_it_refused():
    network = Network()
    initiator, _ = pair()
    network.relay(bytes(32), initiator.hello())
    with pytest.raises(SessionMessageForged):
        network.relay(bytes(32), bytes([sessions.PROOF]) + bytes(40))
    with pytest.raises(SessionUnknown):
        network.relay(bytes(32), bytes([sessions.PROOF]) + bytes(40))


def test_bad_message_does_not_disturb_an_established_session():
    network = Network()
    client = network.client()
    client.ask(b"1")
    session_id = next(iter(network.server._sessions))
    for message in (b"", b"\x09", bytes([sessions.REQUEST]) + bytes(40), bytes([sessions.PROOF])):
        with pytest.raises((MalformedSessionMessage, OutOfTurn)):
            network.relay(session_id, message)
    assert client.ask(b"2") == b"a2"


def test_unavailable_carrier_is_the_askers_business():
    network = Network()
    client = network.client()
    client.ask(b"1")
    relay, client._relay = client._relay, lambda *_: (_ for _ in ()).throw(PeerUnavailable("cut"))
    with pytest.raises(PeerUnavailable):
        client.ask(b"2")
    client._relay = relay
    assert client.ask(b"3") == b"a3"


def test_many_threads_share_a_session():
    network = Network()
    client = network.client()
    barrier = threading.Barrier(4)

    def ask(number):
        if number < 4:
            barrier.wait()
        return client.ask(number.to_bytes(2, "big"))

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(ask, range(300)))
    assert answers == [b"a" + number.to_bytes(2, "big") for number in range(300)]
    assert network.calls == 302


def test_slow_answer_holds_up_no_other_question_of_the_session():
    network = Network()
    client = network.client()
    client.ask(b"1")
    entered, released = threading.Event(), threading.Event()
    relay = client._relay

    def slow_once(session_id, message):
        client._relay = relay
        entered.set()
        assert released.wait(5)
        return relay(session_id, message)

    client._relay = slow_once
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(client.ask, b"2")
        assert entered.wait(5)
        assert client.ask(b"3") == b"a3"
        client.close()
        assert not slow.done()
        released.set()
        assert slow.result(5) == b"a2"


STRICT = {"quote_policy": mock_tee.constraints(min_tcb_evaluation_data_number=10_000).policy}


def test_server_judges_an_open_session_by_what_holds_now():
    network = Network()
    client = network.client()
    client.ask(b"1")
    network.servers_policy = STRICT
    with pytest.raises(EvaluationTooOld):
        client.ask(b"2")
    network.servers_policy = {}
    assert client.ask(b"3") == b"a3"


def test_client_judges_an_open_session_by_what_holds_now():
    network = Network()
    client = network.client()
    client.ask(b"1")
    network.clients_policy = STRICT
    calls = network.calls
    with pytest.raises(EvaluationTooOld):
        client.ask(b"2")
    # It has only said hello again; the request was not sent.
    assert network.calls == calls + 1
    network.clients_policy = {}
    assert client.ask(b"3") == b"a3"


def test_peer_with_better_evidence_goes_on_in_a_new_session():
    network = Network()
    client = network.client()
    client.ask(b"1")
    network.servers_policy = {"enclaves": (OTHER_ENCLAVE,)}
    with pytest.raises(UnknownEnclave):
        client.ask(b"2")
    network.servers_policy = {}
    assert client.ask(b"3") == b"a3"
