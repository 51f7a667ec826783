"""The enclave's end of the socket to a host that does not do its part."""

import socket

import pytest

from shared.errors import PeerUnavailable
from shared.tee import runtime
from shared.tee.runtime import HostConnection

pytestmark = pytest.mark.enable_socket


def test_host_that_never_answers_does_not_keep_the_thread(monkeypatch):
    monkeypatch.setattr(runtime, "HOST_TIMEOUT_S", 0.02)
    host, enclave = socket.socketpair()
    with host, enclave:
        connection = HostConnection(enclave)
        with pytest.raises(PeerUnavailable, match="does not answer"):
            connection.call("call_key_manager", b"\xa0")
        assert connection._waiting == {}
