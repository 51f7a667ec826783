from pathlib import Path

import pytest

from shared.kit.dev_controls import (
    DevTokenWrong,
    ForeignRequest,
    bearer,
    load_dev_token,
    names_of,
    verify_dev_token,
    verify_local_request,
)


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:8600", "LocalHost:1", "127.0.0.1:8600", "[::1]:8600", "10.0.0.7:8600"],
)
@pytest.mark.parametrize(
    "origin", [None, "http://localhost:3000", "https://127.0.0.1", "http://[::1]:8080"]
)
def test_tools_and_pages_of_this_machine_need_no_set_up(host: str, origin: str | None) -> None:
    verify_local_request(host, origin)


@pytest.mark.parametrize(
    "host",
    [None, "", "evil.example", "evil.example:8600", "localhost.evil.example", "127.0.0.1.evil.io"],
)
def test_a_host_that_is_no_name_of_this_machine_is_refused(host: str | None) -> None:
    with pytest.raises(ForeignRequest):
        verify_local_request(host, None)


@pytest.mark.parametrize(
    "origin",
    [
        *("https://evil.example", "null", "", "http://localhost.evil.example", "file://"),
        *("http://10.0.0.7", "http://localhost@evil.example", "http://[::1", "//"),
    ],
)
def test_a_page_of_elsewhere_is_refused(origin: str) -> None:
    with pytest.raises(ForeignRequest):
        verify_local_request("localhost:8600", origin)


def test_nodes_call_each_other_by_their_names() -> None:
    names = names_of("consensus-0:8600")
    verify_local_request("consensus-0:8600", None, names)
    with pytest.raises(ForeignRequest):
        verify_local_request("consensus-1:8600", None, names)
    assert names_of("") == frozenset()


@pytest.mark.parametrize("given", [None, "", "secret", "Bearer", "Bearer ", "Bearer secretx", "é"])
def test_only_the_token_opens_dev_controls(given: str | None) -> None:
    with pytest.raises(DevTokenWrong):
        verify_dev_token(given, "secret")
    with pytest.raises(DevTokenWrong):
        verify_dev_token(given, None)
    verify_dev_token(bearer("secret")["Authorization"], "secret")


def test_a_network_without_dev_controls_has_no_token(tmp_path: Path) -> None:
    assert load_dev_token(tmp_path) is None
    assert bearer(None) == {}
    (tmp_path / "dev-token").write_text("abc\n")
    assert load_dev_token(tmp_path) == "abc"
