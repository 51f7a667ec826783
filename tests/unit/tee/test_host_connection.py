"""The enclave's end of the socket to its host."""

import socket
import threading
from collections.abc import Iterator
from typing import Protocol

import pytest

from shared.encoding import frames
from shared.encoding.contract import find_method
from shared.errors import PeerUnavailable
from shared.tee import runtime
from shared.tee.runtime import HostConnection
from shared.tee.transport import read_frame

pytestmark = pytest.mark.enable_socket


def test_host_that_never_answers_does_not_keep_the_thread(monkeypatch):
    monkeypatch.setattr(runtime, "HOST_TIMEOUT_S", 0.02)
    host, enclave = socket.socketpair()
    with host, enclave:
        connection = HostConnection(enclave)
        with pytest.raises(PeerUnavailable, match="does not answer"):
            connection.call("call_key_manager", b"\xa0")
        assert connection._waiting == {}


class Api(Protocol):
    def note(self, number: int) -> int: ...

    def ask_back(self, number: int) -> int: ...


class Program:
    """Notes in order what it is told; asks the host back, several at a time."""

    def __init__(self, connection: HostConnection) -> None:
        self._connection = connection
        self.noted: list[int] = []
        self._is_noting = threading.Lock()
        self.serving: threading.Thread

    def note(self, number: int) -> int:
        assert self._is_noting.acquire(blocking=False), "two of them ran at a time"
        self.noted.append(number)
        self._is_noting.release()
        return number

    def ask_back(self, number: int) -> int:
        return self._connection.call("anything", bytes([number]))[0]


def request(id_: int, method: str, number: int) -> bytes:
    body = find_method(Api, method).encode_arguments((number,), {})
    return frames.encode_frame(frames.Request(id_, method, body))


@pytest.fixture
def served() -> Iterator[tuple[socket.socket, Program]]:
    host, enclave = socket.socketpair()
    host.settimeout(10)
    with host, enclave:
        connection = HostConnection(enclave)
        program = Program(connection)
        serving = program.serving = threading.Thread(
            target=connection.serve,
            args=(Api, program),
            kwargs={"concurrent": frozenset({"ask_back"}), "workers": 2},
        )
        serving.start()
        yield host, program
        host.close()
        serving.join(10)
        assert not serving.is_alive()


def test_requests_that_came_together_run_in_their_order_one_at_a_time(served):
    host, program = served
    host.sendall(b"".join(request(number, "note", number) for number in range(1, 201)))
    answers = [read_frame(host) for _ in range(200)]
    assert [answer.id for answer in answers] == list(range(1, 201))
    assert program.noted == list(range(1, 201))


def test_frame_in_pieces_is_read_when_it_is_whole(served):
    host, program = served
    for byte in request(1, "note", 7) + request(2, "note", 8):
        host.send(bytes([byte]))
    assert [read_frame(host).id for _ in range(2)] == [1, 2]
    assert program.noted == [7, 8]


def test_host_is_heard_while_all_that_may_run_wait_for_it(served):
    host, program = served
    host.sendall(b"".join(request(id_, "ask_back", 40 + id_) for id_ in range(1, 6)))
    host.sendall(request(6, "note", 1))
    asked, answered = [], []
    while len(answered) < 6:
        match read_frame(host):
            case frames.Request(id=id_, body=body):
                asked.append(body[0])
                if len(asked) > 1:
                    host.sendall(frames.encode_frame(frames.Response(id_, body)))
                else:
                    # Two run at a time: the answer to the first comes after the second asked.
                    first = frames.encode_frame(frames.Response(id_, body))
                if len(asked) == 2:
                    host.sendall(first)
            case frames.Response(id=id_):
                answered.append(id_)
    assert sorted(asked) == [41, 42, 43, 44, 45]
    assert sorted(answered) == [1, 2, 3, 4, 5, 6]
    assert program.noted == [1]


def test_bytes_that_are_no_frame_end_it(served):
    host, program = served
    host.sendall(b"\0\0\0\1\xff")
    program.serving.join(10)
    assert not program.serving.is_alive()
