"""Messages between a worker's host and its launcher."""

import os
import socket
from pathlib import Path

import pytest

from shared.kit.instance_socket import (
    BadInstanceMessage,
    InstanceEnded,
    StartInstance,
    StopInstance,
    receive,
    send,
)

pytestmark = pytest.mark.enable_socket
OPEN_FILES = Path("/proc/self/fd")


@pytest.fixture
def pair():
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with left, right:
        left.setblocking(False)
        right.setblocking(False)
        yield left, right


@pytest.mark.parametrize(
    "message", [StopInstance("ab"), StopInstance("ab", True), InstanceEnded("ab", "it ended")]
)
def test_messages_arrive(pair, message):
    send(pair[0], message)
    assert receive(pair[1]) == (message, [])


def test_a_start_brings_its_files(pair):
    read, write = os.pipe()
    send(pair[0], StartInstance("ab", 9000), (read, write))
    received = receive(pair[1])
    assert received is not None
    message, files = received
    assert message == StartInstance("ab", 9000)
    os.write(files[1], b"through")
    assert os.read(read, 10) == b"through"
    for file in (read, write, *files):
        os.close(file)


@pytest.mark.parametrize(
    "raw",
    [
        b"{}",
        b"no json",
        b'{"kind": "start", "name": "ab"}',
        b'{"kind": "stop", "name": "../ab"}',
        b'{"kind": "stop", "name": "ab", "more": 1}',
        b'{"kind": "stop", "name": 1}',
        b'{"kind": "stop", "name": "' + b"a" * 5000 + b'"}',
        b"[1]",
        b"[" * 4_000,
    ],
)
def test_what_is_no_message_is_refused_and_leaves_no_file_open(pair, raw):
    before = set(OPEN_FILES.iterdir())
    socket.send_fds(pair[0], [raw], [0])
    with pytest.raises(BadInstanceMessage):
        receive(pair[1])
    # What other tests have left may be closed meanwhile.
    assert set(OPEN_FILES.iterdir()) <= before


def test_the_end_is_told(pair):
    pair[0].close()
    assert receive(pair[1]) is None
