"""Encrypted calls: upstream's envelopes, answered under the same key, refused in its words."""

import evm_native
import pytest

from qanat.paratime.harness import CHAIN_CONTEXT, RUNTIME_ID, LocalChain, _call_secret
from qanat.paratime.signing import Account, EpochKey, open_result, seal_call, sign_call
from shared.encoding import cbor
from shared.errors import RuntimeRejected
from shared.types.sdk_transaction import Call
from tests.unit.runtimes.python.conftest import MakeChain

ALICE = Account(b"a" * 32)
ECHO = """
@call(gas=1)
def echo(self, ctx: Context, text: str) -> str:
    return text
@call(gas=1)
def fail(self, ctx: Context, text: str) -> None:
    raise Refused(1, text)
@call(gas=1)
def draw(self, ctx: Context) -> bytes:
    return ctx.random_bytes(8) + ctx.random_bytes(8)
"""


@pytest.fixture
def chain(make_chain: MakeChain) -> LocalChain:
    return make_chain(ECHO, confidential=True)


def failure(result: bytes) -> str:
    with pytest.raises(RuntimeRejected) as refused:
        open_result(result, None)
    return f"{refused.value.module} {refused.value.code}: {refused.value.message}"


def test_neither_call_nor_result_nor_failure_shows_the_text(chain: LocalChain) -> None:
    for method in ("one.Echo", "one.Fail"):
        raw, key = chain.sign(ALICE, method, "a canary")
        (record,) = chain.run(raw)
        assert b"canary" not in raw + record.result
        assert set(cbor.decode(record.result)) == {"unknown"}, "success looks as failure does"
        try:
            assert open_result(record.result, key) == "a canary"
        except RuntimeRejected as error:
            assert (method, error.message) == ("one.Fail", "a canary")


def test_a_result_is_sealed_under_round_and_index(chain: LocalChain) -> None:
    batch = [chain.sign(ALICE, "one.Echo", "x", nonce=n)[0] for n in range(2)]
    round_ = chain.header.round
    records = chain.run(*batch)
    nonces = [cbor.decode(record.result)["unknown"]["nonce"] for record in records]
    assert nonces == [
        round_.to_bytes(8, "big") + index.to_bytes(4, "big") + bytes(3) for index in range(2)
    ]


@pytest.mark.parametrize(
    ("epoch", "reason"),
    [(10, "epoch in the future"), (3, "epoch too far in the past"), (9, None), (4, None)],
)
def test_envelopes_of_six_epochs_open(chain: LocalChain, epoch: int, reason: str | None) -> None:
    to = EpochKey(epoch, evm_native.x25519_public(_call_secret(epoch)))
    sealed = seal_call(Call("x", "one.Echo"), to)
    raw = sign_call(ALICE, sealed.call, nonce=0, runtime_id=RUNTIME_ID, chain_context=CHAIN_CONTEXT)
    (record,) = chain.run(raw)
    if reason is None:
        assert open_result(record.result, sealed.key) == "x"
    else:
        assert failure(record.result) == f"core 18: invalid call format: {reason}"


def test_envelopes_that_do_not_open_fail_and_pay(chain: LocalChain) -> None:
    wrong = EpochKey(9, evm_native.x25519_public(b"\x01" * 32))
    for call in (
        seal_call(Call("x", "one.Echo"), wrong).call,
        Call({"pk": b"short"}, format=seal_call(Call("x"), wrong).call.format),
    ):
        nonce = chain.nonce(ALICE)
        raw = sign_call(
            ALICE, call, nonce=nonce, runtime_id=RUNTIME_ID, chain_context=CHAIN_CONTEXT
        )
        (record,) = chain.run(raw)
        assert failure(record.result).startswith("core 18: invalid call format")
        assert chain.nonce(ALICE) == nonce + 1


def test_a_public_paratime_takes_no_envelope(make_chain: MakeChain) -> None:
    chain = make_chain(ECHO)
    to = EpochKey(9, evm_native.x25519_public(_call_secret(9)))
    raw = sign_call(
        ALICE,
        seal_call(Call("x", "one.Echo"), to).call,
        nonce=0,
        runtime_id=RUNTIME_ID,
        chain_context=CHAIN_CONTEXT,
    )
    (record,) = chain.run(raw)
    assert failure(record.result).startswith("core 18")


def test_random_bytes_repeat_on_replicas_and_nowhere_else(make_chain: MakeChain) -> None:
    first, second = make_chain(ECHO, confidential=True), make_chain(ECHO, confidential=True)
    raw, key = first.sign(ALICE, "one.Draw")
    drawn = [open_result(chain.run(raw)[0].result, key) for chain in (first, second)]
    assert drawn[0] == drawn[1]
    assert drawn[0][:8] != drawn[0][8:]
    assert first.send(ALICE, "one.Draw") != drawn[0]
    with pytest.raises(RuntimeRejected, match="queries draw no random bytes"):
        first.read(ALICE, "one.Draw")


def test_only_a_read_only_call_is_answered_without_a_round(chain: LocalChain) -> None:
    raw, _ = chain.sign(ALICE, "one.Echo", "x")
    with pytest.raises(RuntimeRejected, match="not read-only"):
        chain.runtime.query("core.ExecuteReadOnlyTx", cbor.encode({"tx": raw}), chain.context())
