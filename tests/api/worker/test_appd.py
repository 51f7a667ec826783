"""The app daemon, alone, as unmodified clients of both dialects use it."""

import asyncio
import json
import socket
import stat
import threading
from contextlib import contextmanager
from pathlib import Path

import cbor2
import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from dstack_sdk import AsyncDstackClient, DstackClient
from eth_account import Account
from eth_keys import keys
from eth_utils import keccak
from oasis_rofl_client import AsyncRoflClient, KeyKind, RoflClient

from qanat.rofl.alone import ALONE_APP, make_alone
from qanat.rofl.serve import SocketTaken, open_unix_socket, serve_appd
from services.worker.appd import app as appd_app
from services.worker.appd.events import MAX_EVENTS
from services.worker.appd.rofl_keys import MOCK_ROOT_KEY, derive_key
from services.worker.appd.rofl_keys import KeyKind as OurKind
from shared.rules.app_ids import encode_app_id
from shared.tee.quote import TdReport
from shared.tee.quote_verification import TdxRefused, authenticate_quote, verify_policy
from shared.types.attestation import QuotePolicy
from shared.types.sdk_transaction import (
    AuthInfo,
    Call,
    CallFormat,
    Fee,
    Transaction,
    encode_transaction,
)

NOW_S = 1_760_000_000
COMPOSE = "services:\n  app:\n    image: app\n"


class Daemon:
    """A daemon that runs in a thread of its own."""

    def __init__(self, instance, alone, path):
        self.instance, self.alone, self.path = instance, alone, path
        self.port = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        async def serve():
            self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
            await serve_appd(self.instance, self.path, 0, self._tell, with_signals=False)

        with until_cancelled():
            asyncio.run(serve())

    def _tell(self, places):
        assert places[0] == str(self.path)
        self.url = places[1]
        self._ready.set()

    def start(self):
        self._thread.start()
        assert self._ready.wait(10)

    def stop(self):
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(10)
        assert not self._thread.is_alive()


@contextmanager
def until_cancelled():
    try:
        yield
    except asyncio.CancelledError:
        return


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    instance, alone = make_alone(compose=COMPOSE, now_s=NOW_S)
    one = Daemon(instance, alone, tmp_path_factory.mktemp("appd") / "appd.sock")
    one.start()
    yield one
    one.stop()
    assert not one.path.exists()


@pytest.fixture
def rofl(daemon):
    return RoflClient(str(daemon.path))


@pytest.fixture
def dstack(daemon):
    # What its `with` gives is the asynchronous client behind it.
    client = DstackClient(str(daemon.path))
    with client:
        yield client


def test_rofl_client_gets_the_id_and_upstreams_mock_keys(rofl):
    assert rofl.get_app_id() == encode_app_id(ALONE_APP)
    for kind in KeyKind:
        expected = derive_key(MOCK_ROOT_KEY, OurKind(kind.value), "my key").hex()
        assert rofl.generate_key("my key", kind) == expected
    assert rofl.generate_key("my key") != rofl.generate_key("another")
    assert Account.from_key(rofl.generate_key("my key")).address.startswith("0x")


async def test_async_rofl_client_over_loopback_gets_the_same(daemon, rofl):
    client = AsyncRoflClient(daemon.url)
    assert await client.get_app_id() == rofl.get_app_id()
    assert await client.generate_key("k") == rofl.generate_key("k")


def test_a_seed_gives_other_keys_and_each_app_its_own():
    roots = {
        make_alone(seed=b"a", now_s=NOW_S)[0].root_key,
        make_alone(seed=b"b", now_s=NOW_S)[0].root_key,
        make_alone(seed=b"a", app_id=b"\0" * 21, now_s=NOW_S)[0].root_key,
        MOCK_ROOT_KEY,
    }
    assert len(roots) == 4
    assert make_alone(seed=b"a", now_s=NOW_S)[0].root_key in roots


def test_metadata_is_set_added_to_and_removed(daemon, rofl):
    rofl.set_metadata({"a": "1", "b": "2"})
    with httpx.Client(base_url=daemon.url) as http:
        assert http.put("/rofl/v1/metadata", json={"c": "3"}).status_code == 200
        removed = http.request("DELETE", "/rofl/v1/metadata", json=["a", "nothing"])
        assert (removed.status_code, removed.content) == (200, b"")
    assert rofl.get_metadata() == {"b": "2", "c": "3"}
    rofl.set_metadata({})
    assert rofl.get_metadata() == {}


@pytest.mark.parametrize(
    "pairs",
    [
        {str(number): "" for number in range(55)},
        {"k" * 1011: ""},
        {"k": "v" * (16 * 1024 + 1)},
        {"k": 1},
    ],
    ids=["pairs", "key", "value", "kind"],
)
def test_metadata_over_a_registrations_limits_is_refused(daemon, pairs):
    before = httpx.get(daemon.url + "/rofl/v1/metadata").json()
    assert httpx.post(daemon.url + "/rofl/v1/metadata", json=pairs).status_code == 400
    assert httpx.get(daemon.url + "/rofl/v1/metadata").json() == before


def test_alone_a_good_transaction_is_refused_by_name(rofl):
    for tx in (
        {"gas": 200_000, "to": "0x" + "11" * 20, "value": 0, "data": "0xdeadbeef"},
        {"gas": 200_000, "value": 10**18, "data": "0x60"},
    ):
        with pytest.raises(httpx.HTTPStatusError) as refused:
            rofl.sign_submit(tx)
        assert refused.value.response.status_code == 400
        assert "the daemon runs alone" in refused.value.response.text
    with pytest.raises(httpx.HTTPStatusError) as refused:
        rofl.query("core.MinGasPrice", cbor2.dumps(None))
    assert refused.value.response.status_code == 500
    assert refused.value.response.text.startswith("Query failed: ")


def eth(**changes):
    fields = {"gas_limit": 1, "to": "11" * 20, "value": "0", "data": ""} | changes
    return {"tx": {"kind": "eth", "data": fields}}


def standard(method, format_=CallFormat.PLAIN, body=None):
    call = Call(body, method, format_)
    raw = encode_transaction(Transaction(1, call, AuthInfo(si=(), fee=Fee(gas=7))))
    return {"tx": {"kind": "std", "data": raw.hex()}}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (eth(to="0x"), "invalid hex"),
        (eth(to="0x0x" + "11" * 19), "invalid hex"),
        (eth(data=" 60"), "invalid hex"),
        (eth(data="0"), "invalid hex"),
        (eth(to="11" * 19), "malformed address"),
        (eth(gas_limit=str(1 << 64)), "64-bit"),
        (eth(gas_limit=-1), "64-bit"),
        (eth(gas_limit=True), "gas_limit"),
        (eth(value="0x"), "not a number"),
        (eth(value="1 "), "not a number"),
        (eth(value=str(1 << 256)), "256-bit"),
        (standard("rofl.DeriveKey"), "transaction method not allowed"),
        (standard("", CallFormat.ENCRYPTED), "use the encrypt flag"),
        ({"tx": {"kind": "std", "data": "a0"}}, "missing"),
        ({"tx": {"kind": "other", "data": ""}}, "kind"),
    ],
    ids=range(15),
)
def test_bad_transactions_are_refused_before_anything_is_signed(daemon, body, reason):
    answer = httpx.post(daemon.url + "/rofl/v1/tx/sign-submit", json=body)
    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith("text/plain")
    assert reason in answer.text
    assert "runs alone" not in answer.text


@pytest.mark.parametrize(
    "body",
    [
        eth(gas_limit="0x10", value="0xff"),
        eth(to="", data="0x60"),
        eth(to="0X" + "11" * 20),
        standard("accounts.Transfer", body={"to": b"\0" * 21, "amount": [b"\1", b""]}),
    ],
    ids=range(4),
)
def test_good_transactions_pass_the_check(daemon, body):
    answer = httpx.post(daemon.url + "/rofl/v1/tx/sign-submit", json=body)
    assert "the daemon runs alone" in answer.text


def verified_report(daemon, quote, **policy):
    authentic = authenticate_quote(
        bytes.fromhex(quote),
        daemon.alone.collateral(NOW_S),
        root_ca=daemon.alone.pki.root_ca,
        now_s=NOW_S,
    )
    verify_policy(authentic, QuotePolicy(**policy), now_s=NOW_S)
    return authentic.report


def test_dstack_quote_is_a_td_quote_under_the_mock_root(daemon, dstack):
    answer = dstack.get_quote(b"mine")
    report = verified_report(daemon, answer.quote, allow_tdx=True)
    assert isinstance(report, TdReport)
    assert report.report_data == b"mine".ljust(64, b"\0")
    assert report.mr_td == daemon.instance.measurement
    with pytest.raises(TdxRefused):
        verified_report(daemon, answer.quote, allow_tdx=False)


def test_events_extend_the_register_that_quotes_show(daemon, dstack):
    dstack.emit_event("app-started", b"\x01\x02")
    dstack.emit_event("model", "sha")
    answer = dstack.get_quote(b"q")
    report = verified_report(daemon, answer.quote, allow_tdx=True)
    assert {n: one.hex() for n, one in enumerate(report.registers)} == answer.replay_rtmrs()
    assert [event.event for event in answer.decode_event_log()][-2:] == ["app-started", "model"]
    info = dstack.info()
    assert info.tcb_info.rtmr3 == report.registers[3].hex()
    assert info.tcb_info.app_compose == COMPOSE
    assert info.app_id == daemon.instance.app_id[1:].hex()


def test_dstack_keys_are_vouched_for_by_the_app_and_its_issuer(daemon, dstack):
    derived = dstack.get_key("wallet", "eth")
    assert derived.key == dstack.get_key("wallet", "other").key
    assert derived.key != dstack.get_key("wallet/2", "eth").key
    public = keys.PrivateKey(derived.decode_key()).public_key.to_compressed_bytes()
    by_app, by_issuer = derived.decode_signature_chain()
    digest = keccak(f"eth:{public.hex()}".encode())
    app_key = keys.Signature(by_app).recover_public_key_from_msg_hash(digest)
    other = keys.Signature(dstack.get_key("x", "y").decode_signature_chain()[0])
    other_key = keys.PrivateKey(dstack.get_key("x", "y").decode_key()).public_key
    other_digest = keccak(f"y:{other_key.to_compressed_bytes().hex()}".encode())
    assert other.recover_public_key_from_msg_hash(other_digest) == app_key
    issued = b"dstack-kms-issued:" + daemon.instance.app_id[1:] + app_key.to_compressed_bytes()
    issuer = keys.Signature(by_issuer).recover_public_key_from_msg_hash(keccak(issued))
    assert issuer != app_key


@pytest.mark.parametrize("algorithm", ["secp256k1", "secp256k1_prehashed", "ed25519"])
def test_dstack_signatures_verify_and_others_do_not(dstack, algorithm):
    data = keccak(b"message")
    signed = dstack.sign(algorithm, data)
    signature, public = signed.decode_signature(), signed.decode_public_key()
    assert dstack.verify(algorithm, data, signature, public).valid
    assert not dstack.verify(algorithm, keccak(b"other"), signature, public).valid
    assert not dstack.verify(algorithm, data, bytes(64), public).valid
    if algorithm == "ed25519":
        Ed25519PublicKey.from_public_bytes(public).verify(signature, data)


async def test_async_dstack_client_over_loopback_gets_ed25519_keys(daemon, dstack):
    async with AsyncDstackClient(daemon.url) as client:
        derived = await client.get_key("a", "b", "ed25519")
        assert (await client.version()).version.startswith("0.5.")
    assert derived.key == dstack.get_key("a", "b", "k256").key
    assert derived.signature_chain[0] != dstack.get_key("a", "b").signature_chain[0]


@pytest.mark.parametrize(
    ("method", "body"),
    [
        ("GetKey", {"algorithm": "rsa"}),
        ("GetQuote", {"report_data": "00" * 65}),
        ("GetQuote", {"report_data": "xy"}),
        ("Sign", {"algorithm": "secp256k1_prehashed", "data": "00"}),
        ("Sign", {"algorithm": "p256", "data": "00"}),
        ("Verify", {"algorithm": "ed25519", "data": "", "signature": "", "public_key": "00"}),
        ("Verify", {"algorithm": "k256", "data": "", "signature": "", "public_key": "05" * 33}),
        ("EmitEvent", {"event": "", "payload": ""}),
        ("EmitEvent", {"event": "a\nb", "payload": ""}),
    ],
    ids=range(9),
)
def test_bad_requests_of_dstack_are_refused_in_plain_text(daemon, method, body):
    for prefix in ("/", "/prpc/"):
        answer = httpx.post(daemon.url + prefix + method, json=body)
        assert (answer.status_code, bool(answer.text)) == (400, True)


def test_the_event_log_is_bounded():
    instance, _ = make_alone(now_s=NOW_S)
    transport = httpx.ASGITransport(appd_app.build_appd(instance))

    async def fill():
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            large = {"event": "e", "payload": "00" * 250_000}
            statuses = [(await http.post("/EmitEvent", json=large)).status_code for _ in range(6)]
            assert statuses == [200] * 4 + [400] * 2
            assert len(instance.events.events) == 4
            for _ in range(MAX_EVENTS - 4):
                await http.post("/EmitEvent", json={"event": "e", "payload": ""})
            last = instance.events.register
            refused = await http.post("/EmitEvent", json={"event": "e", "payload": ""})
            assert (refused.status_code, instance.events.register) == (400, last)

    asyncio.run(fill())


def test_pages_and_floods_are_kept_out(daemon):
    path = daemon.url + "/rofl/v1/app/id"
    assert httpx.get(path, headers={"host": "evil.example"}).status_code == 403
    assert httpx.get(path, headers={"origin": "http://localhost:3000"}).status_code == 403
    body = b" " * (appd_app.MAX_BODY_BYTES + 1)
    assert httpx.post(daemon.url + "/GetKey", content=body).status_code == 413


def test_a_secret_that_is_malformed_is_not_repeated(daemon):
    answer = httpx.post(daemon.url + "/rofl/v1/keys/generate", json={"key_id": ["hunter2"]})
    assert answer.status_code == 400
    assert "hunter2" not in answer.text


def test_socket_is_the_owners_alone_and_is_not_taken_from_another(daemon, tmp_path):
    assert stat.S_IMODE(daemon.path.stat().st_mode) == 0o600
    with pytest.raises(SocketTaken):
        open_unix_socket(daemon.path)
    file = tmp_path / "file"
    file.write_text("kept")
    with pytest.raises(SocketTaken):
        open_unix_socket(file)
    assert file.read_text() == "kept"
    left = tmp_path / "left"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(left))
    open_unix_socket(left).close()


def test_command_serves_until_it_is_told_to_stop(tmp_path):
    import subprocess
    import sys

    path = tmp_path / "a.sock"
    command = [sys.executable, "-m", "qanat", "rofl", "appd", "--socket", str(path)]
    with subprocess.Popen(
        [*command, "--seed", "s"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == str(path)
        expected = make_alone(seed=b"s", now_s=NOW_S)[0].root_key
        assert RoflClient(str(path)).generate_key("k") == (
            derive_key(expected, OurKind.SECP256K1, "k").hex()
        )
        process.terminate()
        assert process.wait(10) == 0
    assert not path.exists()


def test_info_is_json_all_through(daemon):
    answer = httpx.post(daemon.url + "/Info", json={}).json()
    assert json.loads(answer["tcb_info"])["mrtd"] == daemon.instance.measurement.hex()
    assert Path(daemon.path).is_socket()
