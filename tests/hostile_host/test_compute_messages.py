"""Messages that an honest host never sends: of any form, in any order, with any proof."""

import json
from dataclasses import fields, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.compute.enclave.protocol import ComputeEnclaveApi
from shared.encoding.contract import methods_of
from shared.encoding.record import encode_record
from shared.errors import (
    BadRequest,
    MethodNotFound,
    PeerFailed,
    QanatError,
    Rejected,
    RuntimeRejected,
)
from shared.rules import state_keys
from shared.types.evm import AccountQuery, EvmQuery, TraceQuery
from shared.types.queries import MAX_QUERIES, Query, QueryAnswer
from tests.support.compute_nodes import RICH, raw
from tests.support.evm_state import KEEPER_INIT, SPY_CODE
from tests.support.keymanager import PARATIME_ID
from tests.support.lying_host import VALUES, flipped
from tests.support.short_run import examples

METHODS = sorted(methods_of(ComputeEnclaveApi))


@st.composite
def bodies(draw, method: str):
    """Bodies with the right names and any values, or of any form at all."""
    names = methods_of(ComputeEnclaveApi)[method].parameters
    shaped = st.fixed_dictionaries(dict.fromkeys(names, VALUES))
    return draw(shaped | VALUES)


def refused(host, method: str, body) -> None:
    """The program refuses by a typed error, or answers; it meets no bug."""
    try:
        host.send(method, body)
    except PeerFailed as bug:
        raise AssertionError(f"{method} {body!r}: {bug.message}") from bug
    except QanatError:
        pass


@pytest.mark.parametrize("method", METHODS)
@settings(
    max_examples=examples(25),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_no_message_meets_a_bug(scene, method, data):
    refused(scene.host, method, data.draw(bodies(method)))
    assert scene.catch_up().is_level
    refused(scene.host, method, data.draw(bodies(method)))
    scene.host.ask("query", EvmQuery.ACCOUNT, encode_record(AccountQuery(RICH)), 2)


def test_a_message_that_is_no_part_of_the_contract_is_refused(scene):
    for name in ("rollback", "close", "_state", "observe", "sealer", "rak", "enter_incarnation"):
        with pytest.raises(MethodNotFound):
            scene.host.send(name, {})
    with pytest.raises(BadRequest):
        scene.host.send("execute", {"round": 2, "batch": [], "more": 1})


@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_answered_before_a_proof_but_who_the_enclave_is(scene, method):
    arguments = {
        "advance": lambda: (encode_record(scene.bench.chain.prove_head()), ()),
        "apply": lambda: (tuple(scene.changes),),
        "attest": lambda: (b"n" * 32,),
        "check": lambda: ((raw(0),),),
        "describe": tuple,
        "execute": lambda: (2, ()),
        "fetch_call_data_key": tuple,
        "fetch_diff": lambda: (2,),
        "fetch_max_batch_weight": tuple,
        "initialize": lambda: (_proof(scene),),
        "prepare_epoch": lambda: (2,),
        "prune": lambda: (2,),
        "query": lambda: (EvmQuery.ACCOUNT, encode_record(AccountQuery(RICH)), 2),
        "query_all": lambda: ((Query(EvmQuery.ACCOUNT, encode_record(AccountQuery(RICH))),), 2),
    }
    if method in ("describe", "initialize"):
        scene.host.ask(method, *arguments[method]())
        return
    with pytest.raises(QanatError) as refusal:
        scene.host.ask(method, *arguments[method]())
    assert not isinstance(refusal.value, PeerFailed)


def test_questions_that_come_together_fail_each_by_itself(scene):
    scene.catch_up()
    account = Query(EvmQuery.ACCOUNT, encode_record(AccountQuery(RICH)))
    asked = (account, Query(EvmQuery.ACCOUNT, b"junk"), Query("evm.Secrets", b""), account)
    first, junk, unknown, last = scene.host.ask("query_all", asked, 2)
    assert first == last == QueryAnswer(scene.host.ask("query", account.method, account.args, 2))
    assert isinstance(junk.error, Rejected)
    assert isinstance(unknown.error, Rejected)
    with pytest.raises(BadRequest):
        scene.host.ask("query_all", (account,) * (MAX_QUERIES + 1), 2)


def _proof(scene):
    return scene.bench.chain.prove(scene.bench.keys)


def _set(record, path, value):
    name, *rest = path
    return replace(record, **{name: _set(getattr(record, name), rest, value) if rest else value})


def _leaves(record, path=()):
    for field in fields(record):
        value = getattr(record, field.name)
        if hasattr(value, "__dataclass_fields__"):
            yield from _leaves(value, (*path, field.name))
        else:
            yield (*path, field.name), value


def test_a_proof_that_is_changed_in_any_place_is_refused_and_changes_nothing(scene):
    proven = _proof(scene)
    count = 0
    for path, value in _leaves(proven):
        match value:
            case bytes() if value:
                forged = flipped(value)
            case int():
                forged = value + 1
            case str():
                forged = value + "x"
            case _:
                continue
        count += 1
        with pytest.raises(Rejected):
            scene.host.ask("initialize", _set(proven, path, forged))
    assert count > 15
    key, value = proven.items[-1]
    for items in (
        (*proven.items[:-1], (key, flipped(value))),
        (*proven.items[:-1], (key, None)),
        (*proven.items, (b"more", b"value")),
    ):
        with pytest.raises(Rejected):
            scene.host.ask("initialize", replace(proven, items=items))
    assert scene.host.ask("initialize", proven).height == scene.bench.chain.height


def test_bytes_of_a_proof_that_are_changed_or_missing_are_refused_and_change_nothing(scene):
    scene.catch_up()
    scene.bench.chain.make_block()
    raw_proof = encode_record(scene.bench.chain.prove_head())
    height = scene.host.program._state().height
    for at in range(len(raw_proof)):
        changed = bytearray(raw_proof)
        changed[at] ^= 1 << at % 8
        for shown in (bytes(changed), raw_proof[:at]):
            with pytest.raises(Rejected):
                scene.host.ask("advance", shown)
    assert scene.host.program._state().height == height
    assert scene.host.ask("advance", raw_proof).height == height + 1


def test_a_proof_that_leaves_something_out_is_refused(scene):
    for left_out in (
        state_keys.CHAIN_CONTEXT,
        state_keys.EPOCH,
        state_keys.runtime_key(PARATIME_ID),
        state_keys.last_block_key(PARATIME_ID),
    ):
        keys = tuple(key for key in scene.bench.keys if key != left_out)
        with pytest.raises(QanatError):
            scene.host.ask("initialize", scene.bench.chain.prove(keys))


def test_an_older_block_does_not_take_the_enclave_back(scene):
    older = _proof(scene)
    scene.bench.chain.make_block()
    assert scene.catch_up().is_level
    for method, shown in (("initialize", older), ("advance", encode_record(older))):
        with pytest.raises(Rejected):
            scene.host.ask(method, shown)
    assert scene.host.program._state().is_level


def test_a_batch_of_the_largest_frame_is_answered(scene):
    scene.catch_up()
    junk = tuple(bytes([n % 256]) * 1_000_000 for n in range(60))
    executed = scene.host.ask("execute", scene.bench.chain.head.round + 1, junk)
    assert executed.included == ()
    assert len(executed.refused) == 60


def test_no_trace_leaves_the_enclave_of_a_confidential_paratime(scene):
    """Whoever asks and whatever batch is shown: a trace would hold what the contract keeps."""
    assert scene.catch_up().is_level
    spy = {"to": "0x" + scene.victim.hex(), "data": "0x"}
    code = {spy["to"]: {"code": "0x" + SPY_CODE.hex()}}
    simulation = {"style": "frames", "blocks": [{"state": code, "calls": [spy]}]}
    made = raw(1, to=b"", data=KEEPER_INIT, gas=1_000_000)
    styles = [b'"frames"', b'{"geth":{}}', b'{"parity":["stateDiff"]}', b""]
    questions = [
        (EvmQuery.TRACE, encode_record(TraceQuery(batch, bytes(32), wanted, style)))
        for style in styles
        for batch, wanted in (((made,), 0), ((), None), ((b"\x00",), None))
    ]
    questions += [(EvmQuery.SIMULATE, json.dumps(simulation).encode()), (EvmQuery.TRACE, b"")]
    for method, arguments in questions:
        for round_ in (2, 4):
            with pytest.raises(RuntimeRejected, match="keep secrets") as refusal:
                scene.host.ask("query", method, arguments, round_)
            assert (refusal.value.module, refusal.value.code) == ("trace", 1)
