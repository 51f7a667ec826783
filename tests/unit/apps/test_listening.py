"""Apps serve where their worker has it: on the loopback, or on ports that a container publishes."""

import contextlib
import socket
from collections.abc import Iterator

import pytest

from apps.listening import listen
from shared.kit.sockets import PortTaken, open_sockets

pytestmark = pytest.mark.enable_socket


@contextlib.contextmanager
def listening(port: int, before: int = 0) -> Iterator[tuple[str, int]]:
    sockets = listen(port, before)
    try:
        yield sockets[0].getsockname()
    finally:
        close(sockets)


def close(sockets: list[socket.socket]) -> None:
    for one in sockets:
        one.close()


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """Two ports, free now, that a container publishes."""
    for _ in range(50):
        probe = open_sockets("0.0.0.0", 0)
        first = int(probe[0].getsockname()[1])
        try:
            close(open_sockets("0.0.0.0", first + 1))
        except (PortTaken, OverflowError):
            continue
        finally:
            close(probe)
        monkeypatch.setenv("APP_HOST", "0.0.0.0")
        monkeypatch.setenv("APP_PORTS", f"{first}-{first + 1}")
        return first, first + 1
    raise AssertionError("no two neighbours among the ports are free")


def test_an_app_serves_on_the_loopback_where_nothing_else_is_said() -> None:
    with listening(0) as (host, port):
        assert host == "127.0.0.1"
    with listening(port) as again:
        assert again == (host, port)
    with listening(0, before=port) as as_before:
        assert as_before == (host, port)


def test_the_port_of_before_is_left_to_who_took_it() -> None:
    with listening(0) as (_, port), listening(0, before=port) as (_, other):
        assert other != port
    with listening(0) as (_, port), pytest.raises(PortTaken):
        listen(port)


def test_in_a_container_a_free_port_is_one_that_is_published(published: tuple[int, int]) -> None:
    with listening(0) as first:
        assert first == ("0.0.0.0", published[0])
        with listening(0) as second:
            assert second == ("0.0.0.0", published[1])
            with pytest.raises(PortTaken, match="other apps have all"):
                listen(0)


def test_a_port_of_before_that_is_not_published_is_not_taken(published: tuple[int, int]) -> None:
    with listening(0, before=published[1]) as (_, port):
        assert port == published[1]
    with listening(0, before=published[1] + 1) as (_, port):
        assert port == published[0]
