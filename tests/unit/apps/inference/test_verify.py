"""The offline verifier: what is good passes, and what is not is refused by name."""

import base64
import json
import random

import pytest
from typer.testing import CliRunner

from apps.inference.documents.canonical import canonical, read_document
from apps.inference.errors import (
    KeysetExpired,
    KeysetTooDistant,
    MalformedDocument,
    MeasurementRefused,
    MockRefused,
    ReportDataMismatch,
    SubjectRefused,
)
from apps.inference.verify.exchange import Exchange, verify_exchange
from apps.inference.verify.policy import LONGEST_KEYSET_S, Policy
from qanat.ai import verify as sdk
from qanat.cli import app
from shared.errors import Rejected
from shared.tee.quote_verification import UntrustedRoot
from tests.support.inference import MODELS, NONCE, NOW_S, make_exchange

LIFE_S = 7 * 86_400
MUTATIONS = 300


@pytest.fixture(scope="module")
def exchange(tmp_path_factory):
    return make_exchange(tmp_path_factory.mktemp("appd"))


def verify(exchange, now_s=NOW_S, **policy):
    return verify_exchange(exchange, policy=Policy(**{"allow_mock": True} | policy), now_s=now_s)


def test_good_exchange_passes_and_says_what_is_known(exchange) -> None:
    service, receipt = verify(exchange)
    assert service.models == MODELS
    assert service.is_mock
    assert not service.is_root_pinned
    assert receipt.receipt_id == "rcpt-1"
    assert not receipt.is_refusal
    assert Exchange.decode(exchange.encode()) == exchange


def test_mock_is_refused_unless_allowed(exchange) -> None:
    with pytest.raises(MockRefused):
        verify(exchange, allow_mock=False)


def test_policy_pins_root_measurement_subject_and_weights(exchange) -> None:
    service, _ = verify(exchange)
    root = exchange.report["attestation"]["evidence"]["root_ca"]
    pinned = {
        "root_ca": base64.b64decode(root),
        "measurements": frozenset({service.measurement}),
        "subject": service.keyset.subject,
        "models": MODELS,
    }
    again, _ = verify(exchange, **pinned)
    assert again.is_root_pinned
    assert again.is_measurement_pinned
    for other, refusal in (
        ({"root_ca": b"\x30\x00"}, UntrustedRoot),
        ({"measurements": frozenset({"00" * 48})}, MeasurementRefused),
        ({"subject": "rofl1other"}, SubjectRefused),
        ({"models": {"smollm2-135m-instruct": "sha256:" + "0" * 64}}, MeasurementRefused),
    ):
        with pytest.raises(refusal):
            verify(exchange, **pinned | other)


def test_keyset_has_its_time(exchange) -> None:
    verify(exchange, now_s=NOW_S + LIFE_S - 1)
    with pytest.raises(KeysetExpired):
        verify(exchange, now_s=NOW_S + LIFE_S)
    with pytest.raises(KeysetTooDistant):
        verify(exchange, now_s=NOW_S + LIFE_S - LONGEST_KEYSET_S - 1)


def test_another_challenge_is_refused(exchange) -> None:
    with pytest.raises(ReportDataMismatch):
        verify(Exchange(**{**fields(exchange), "nonce": "11" * 32}))


@pytest.mark.parametrize(
    "text",
    [
        *("[]", '{"a":1,"a":2}', '{"a":1.5}', '{"a":NaN}', '{"a":9007199254740993}', "{" * 9_000),
        *('{"a":"\\ud800"}', "\x00", '{"a":1}x'),
    ],
)
def test_what_parsers_could_read_differently_is_no_document(text) -> None:
    with pytest.raises(MalformedDocument):
        read_document(text.encode())


def fields(exchange):
    return {name: getattr(exchange, name) for name in Exchange.__slots__}


def leaves(value, path=()):
    """Paths of everything in a document that is no object or list."""
    if isinstance(value, dict):
        for name, one in value.items():
            yield from leaves(one, (*path, name))
    elif isinstance(value, list):
        for at, one in enumerate(value):
            yield from leaves(one, (*path, at))
    else:
        yield path


def changed(value, rng):
    """Another value of the same type, one character or bit away."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value ^ (1 << rng.randrange(8))
    if value is None:
        return "x"
    at = rng.randrange(len(value)) if value else 0
    other = rng.choice([c for c in "0123456789abcdef" if c != value[at : at + 1]])
    return value[:at] + other + value[at + 1 :]


def with_changed_leaf(document, rng, below=()):
    copied = json.loads(canonical(document))
    inner = copied
    for part in below:
        inner = inner[part]
    path = rng.choice(list(leaves(inner)))
    for part in path[:-1]:
        inner = inner[part]
    inner[path[-1]] = changed(inner[path[-1]], rng)
    return copied


def flipped(raw, rng):
    at = rng.randrange(len(raw))
    return raw[:at] + bytes([raw[at] ^ 1 << rng.randrange(8)]) + raw[at + 1 :]


def with_flipped_quote(report, rng):
    copied = json.loads(canonical(report))
    evidence = copied["attestation"]["evidence"]
    evidence["quote"] = flipped(bytes.fromhex(evidence["quote"]), rng).hex()
    return copied


CHANGES = {
    "request": lambda one, rng: {"request": flipped(one.request, rng)},
    "response": lambda one, rng: {"response": flipped(one.response, rng)},
    "receipt": lambda one, rng: {"receipt": with_changed_leaf(one.receipt, rng)},
    "keyset": lambda one, rng: {
        "report": with_changed_leaf(one.report, rng, ("attestation", "workload_keyset"))
    },
    "nonce": lambda one, rng: {"nonce": changed(one.nonce, rng)},
    "quote": lambda one, rng: {"report": with_flipped_quote(one.report, rng)},
    "header": lambda one, rng: {"headers": with_changed_leaf(one.headers, rng)},
    "facts": lambda one, rng: {
        "report": with_changed_leaf(one.report, rng, ("service_capabilities",))
    },
}
NAMES = {
    "request": {"RequestMismatch"},
    "response": {"ResponseMismatch"},
    "receipt": {"BadReceiptSignature", "ReceiptOfAnotherKeyset", "UnknownReceiptKey"}
    | {"UnknownVersion", "MalformedDocument"},
    "keyset": {"KeysetDigestMismatch"},
    "nonce": {"ReportDataMismatch"},
    "quote": {"QuoteNotGenuine", "MalformedQuote", "UnsupportedQuote", "NotCanonical"}
    | {"UntrustedRoot", "CollateralOutOfTime"},
    "header": {"HeaderMismatch"},
    "facts": {"UnmeasuredClaim"},
}


def test_each_single_mutation_is_refused_by_its_name(exchange) -> None:
    rng = random.Random(9)
    seen = set()
    for number in range(MUTATIONS):
        kind = list(CHANGES)[number % len(CHANGES)]
        mutated = Exchange(**{**fields(exchange), **CHANGES[kind](exchange, rng)})
        assert mutated != exchange
        with pytest.raises(Rejected) as refusal:
            verify(mutated)
        assert type(refusal.value).__name__ in NAMES[kind], (kind, refusal.value)
        seen.add(type(refusal.value).__name__)
    assert len(seen) >= 9


def test_command_line_verifies_and_names_refusals(exchange, tmp_path) -> None:
    kept = tmp_path / "exchange.json"
    kept.write_bytes(exchange.encode())
    runner = CliRunner()
    at = ["--at", str(NOW_S)]
    good = runner.invoke(app, ["verify", "receipt", str(kept), "--allow-mock", "--json", *at])
    assert good.exit_code == 0, good.output
    assert json.loads(good.stdout)["bodies_verified"] is True
    mock = runner.invoke(app, ["verify", "receipt", str(kept), "--json", *at])
    assert (mock.exit_code, json.loads(mock.stdout)["error"]) == (1, "MockRefused")
    for name, document in (("report", exchange.report), ("receipt", exchange.receipt)):
        (tmp_path / f"{name}.json").write_text(json.dumps(document, indent=2))
    (tmp_path / "request").write_bytes(exchange.request)
    bare = ["--report", str(tmp_path / "report.json"), "--nonce", NONCE, "--allow-mock", *at]
    named = ["verify", "receipt", str(tmp_path / "receipt.json"), *bare]
    assert runner.invoke(app, named).exit_code == 0
    wrong = runner.invoke(app, [*named, "--request", str(kept), "--json"])
    assert json.loads(wrong.stdout)["error"] == "RequestMismatch"
    report = ["verify", "report", str(tmp_path / "report.json"), "--allow-mock", "--json", *at]
    stale = runner.invoke(app, [*report, "--nonce", "22" * 32])
    assert json.loads(stale.stdout)["error"] == "ReportDataMismatch"
    assert runner.invoke(app, [*report, "--nonce", NONCE]).exit_code == 0


def test_sdk_verifies_what_a_client_kept(exchange) -> None:
    allowed = sdk.Policy(allow_mock=True)
    found = sdk.receipt(exchange.encode(), policy=allowed, now_s=NOW_S)
    assert (found.receipt_id, found.is_refusal) == ("rcpt-1", False)
    report = json.dumps(exchange.report).encode()
    assert sdk.report(report, nonce=NONCE, policy=allowed, now_s=NOW_S).models == MODELS
    with pytest.raises(MockRefused):
        sdk.receipt(exchange.encode(), now_s=NOW_S)
    with pytest.raises(ReportDataMismatch):
        sdk.report(report, nonce="22" * 32, policy=allowed, now_s=NOW_S)
