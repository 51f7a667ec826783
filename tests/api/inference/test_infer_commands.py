"""`qanat ai infer` against the service, over HTTP."""

import json

import pytest
from typer.testing import CliRunner

from qanat.cli import app as command_line
from shared.errors import Rejected
from tests.support.inference import KEY, MODELS, a_server

CHAT_MODEL, EMBEDDING_MODEL = MODELS
PROMPT = "canary-of-the-command"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with a_server(tmp_path_factory.mktemp("inference") / "appd.sock") as known:
        yield known


def run(server, command, *arguments, given=None, key=KEY):
    options = ["--url", server.url, "--api-key", key, *arguments]
    return CliRunner().invoke(command_line, ["ai", "infer", command, *options], input=given)


@pytest.mark.parametrize("how", [(), ("--stream",), ("--plain",), ("--plain", "--stream")])
def test_an_answer_is_shown_with_its_verified_receipt(server, tmp_path, how) -> None:
    kept = tmp_path / "exchange.json"
    done = run(server, "ask", PROMPT, "--allow-mock", "--json", "--keep", str(kept), *how)
    told = json.loads(done.stdout)
    assert told["text"] == "Hello wörld"
    assert told["receipt_verified"]
    assert told["is_encrypted"] == ("--plain" not in how)
    assert told["model"] == CHAT_MODEL
    named = ["verify", "receipt", str(kept), "--allow-mock", "--json"]
    shown = json.loads(CliRunner().invoke(command_line, named).stdout)
    assert shown["receipt_id"] == told["receipt_id"]
    assert shown["bodies_verified"]
    assert kept.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("how", [(), ("--stream",)])
def test_a_reader_sees_the_answer_alone_on_standard_output(server, how) -> None:
    done = run(server, "ask", PROMPT, "--allow-mock", *how)
    assert done.stdout.strip() == "Hello wörld"
    assert "is verified (mock TEE)" in done.stderr


def test_a_prompt_may_come_from_standard_input(server) -> None:
    assert run(server, "ask", "-", "--allow-mock", given="of a file\n").exit_code == 0
    assert server.scripted.asked[-1]["messages"][0]["content"] == "of a file\n"


def test_a_text_becomes_numbers(server) -> None:
    told = json.loads(run(server, "embed", "abc", "--allow-mock", "--json").stdout)
    assert told["embedding"] == [3.0, 0.5]
    assert told["receipt_verified"]
    assert run(server, "embed", "abc", "--allow-mock").stdout.strip() == "3.000000 0.500000"


def test_nothing_is_sent_where_the_service_is_not_accepted(server) -> None:
    asked = len(server.scripted.asked)
    mock = run(server, "ask", PROMPT)
    assert type(mock.exception).__name__ == "MockRefused"
    other = run(server, "ask", PROMPT, "--allow-mock", "--measurement", "00" * 48)
    assert type(other.exception).__name__ == "MeasurementRefused"
    assert len(server.scripted.asked) == asked


@pytest.mark.parametrize(
    ("arguments", "key"),
    [((), "sk-stranger"), (("--model", "gpt-9"), KEY), (("--max-tokens", "100000"), KEY)],
)
def test_what_the_service_refuses_is_one_named_error(server, arguments, key) -> None:
    done = run(server, "ask", PROMPT, "--allow-mock", *arguments, key=key)
    assert isinstance(done.exception, Rejected)
    assert type(done.exception).__name__ == "NotInferred"
    assert server.url in done.exception.message
