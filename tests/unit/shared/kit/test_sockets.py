import socket

import pytest

from shared.kit.sockets import PortTaken, open_sockets

pytestmark = pytest.mark.enable_socket


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def close(sockets: list[socket.socket]) -> None:
    for one in sockets:
        one.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost"])
def test_localhost_answers_on_every_family_that_the_machine_has(host: str) -> None:
    sockets = open_sockets(host, 0)
    port = sockets[0].getsockname()[1]
    addresses = ["127.0.0.1", *(["::1"] if has_ipv6() else [])]
    assert {one.getsockname()[1] for one in sockets} == {port}
    for address in addresses:
        socket.create_connection((address, port), timeout=2).close()
    close(sockets)


def test_where_ipv6_is_off_only_ipv4_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    create = socket.create_server

    def without_ipv6(address, *, family, **options):
        if family == socket.AF_INET6:
            raise OSError(97, "Address family not supported by protocol")
        return create(address, family=family, **options)

    monkeypatch.setattr(socket, "create_server", without_ipv6)
    sockets = open_sockets("127.0.0.1", 0)
    assert len(sockets) == 1
    close(sockets)


@pytest.mark.parametrize("taken", ["127.0.0.1", "::1"])
def test_a_port_that_is_taken_is_said_plainly_and_nothing_stays_open(taken: str) -> None:
    if taken == "::1" and not has_ipv6():
        pytest.skip("no IPv6 here")
    family = socket.AF_INET6 if ":" in taken else socket.AF_INET
    with socket.create_server((taken, 0), family=family) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortTaken, match=f"port {port} on {taken} is taken by another process"):
            open_sockets("127.0.0.1", port)
    close(open_sockets("127.0.0.1", port))
