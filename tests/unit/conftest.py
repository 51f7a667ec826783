"""Unit tests open no network: pairs and Unix sockets at most; what is about sockets, loopback."""

import pytest
from pytest_socket import disable_socket, enable_socket

ABOUT_SOCKETS = ("tests/unit/shared/kit/", "tests/unit/docs/test_http_examples.py")


def pytest_runtest_setup(item: pytest.Item) -> None:
    needs = item.get_closest_marker("enable_socket") is not None
    if not needs and not item.nodeid.startswith(ABOUT_SOCKETS):
        disable_socket(allow_unix_socket=True)


def pytest_runtest_teardown() -> None:
    enable_socket()
