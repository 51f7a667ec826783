"""Whatever a tracer's configuration or a simulation says, the core answers or refuses by a code."""

import contextlib
import json

import pytest
from evm_native import CallFailed
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.fake_compute import FakeChain
from tests.support.gateway import BALANCES, FIRST_ADDRESS
from tests.support.short_run import examples
from tests.support.signing import sign

CHAIN_ID = 0xA514
PRECOMPILE = "0x" + "00" * 19 + "02"
NAMES = st.sampled_from(
    [
        "callTracer", "prestateTracer", "flatCallTracer", "4byteTracer", "noopTracer", "muxTracer",
        "erc7562Tracer", "stateGasTracer", "{}", "",
    ]
)  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=8) | NAMES
    | st.sampled_from(["0x", "0x1", FIRST_ADDRESS, "0x" + "ff" * 32, "5s", "0s", "1h"])
    | st.just(PRECOMPILE),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            [
                "withLog", "onlyTopCall", "diffMode", "disableCode", "disableStorage", "limit",
                "enableMemory", "disableStack", "timeout", "tracer", "tracerConfig", "callTracer",
                "number", "time", "balance", "nonce", "code", "state", "stateDiff", "block",
                "calls", "from", "to", "gas", "data", "value", "blockHash", FIRST_ADDRESS,
                "maxFeePerGas", "maxPriorityFeePerGas", "gasPrice", "chainId", "gasLimit",
                "baseFeePerGas", "feeRecipient", "prevRandao", "blobBaseFee",
                "movePrecompileToAddress", "authorizationList", PRECOMPILE,
            ]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=8,
)  # fmt: skip
STYLES = (
    st.sampled_from(["frames", "operations", {"outcome": True}, {"accessList": []}])
    | st.builds(lambda one: {"geth": one}, VALUES)
    | st.builds(
        lambda name, config: {"geth": {"tracer": name, "tracerConfig": config}}, NAMES, VALUES
    )
    | st.builds(lambda one: {"parity": one}, VALUES)
    | VALUES
)
BLOCKS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "block": VALUES,
            "state": VALUES,
            "calls": st.lists(VALUES, max_size=2),
            "withdrawals": VALUES,
        },
    )
    | VALUES,
    max_size=3,
)


@pytest.fixture(scope="module")
def chain() -> FakeChain:
    return FakeChain(balances=BALANCES, chain_id=CHAIN_ID, is_automatic=False, confidential=False)


@settings(deadline=None, max_examples=examples(300))
@given(style=STYLES)
@example(style={"geth": {"tracer": "muxTracer", "tracerConfig": {"muxTracer": {}}}})
@example(style={"geth": {"timeout": "99999999999999999999999h"}})
def test_any_style_is_answered_or_refused_by_a_code(chain, style):
    raw = bytes.fromhex(sign(0, value=1, chainId=CHAIN_ID)[2:])
    environment = chain.environment(chain.newest.round)
    with contextlib.suppress(CallFailed):
        ((_, trace),) = chain.engine.replay(
            environment, [raw], block_hash=bytes(32), wanted=0, style=json.dumps(style).encode()
        )
        json.loads(trace)


@settings(deadline=None, max_examples=examples(300))
@given(style=STYLES, checks=st.sampled_from(["nothing", "funds", "all"]), blocks=BLOCKS)
@example(
    style={"outcome": False}, checks="nothing", blocks=[{"calls": [{"gas": "0xffffffffffffffff"}]}]
)
@example(
    style={"outcome": True},
    checks="all",
    blocks=[
        {
            "block": {"gasLimit": "0xffffffffffffffff", "baseFeePerGas": "0xffffffffffffffff"},
            "state": {FIRST_ADDRESS: {"balance": "0x" + "ff" * 32}},
            "calls": [
                {
                    "from": FIRST_ADDRESS,
                    "gas": "0xffffffffffffffff",
                    "gasPrice": "0x" + "ff" * 16,
                    "value": "0x" + "ff" * 32,
                }
            ],
            "withdrawals": [
                {
                    "index": "0x0",
                    "validatorIndex": "0x0",
                    "address": FIRST_ADDRESS,
                    "amount": "0xffffffffffffffff",
                }
            ],
        }
    ],
)
@example(
    style={"outcome": True},
    checks="funds",
    blocks=[
        {
            "state": {FIRST_ADDRESS: {"nonce": "0xffffffffffffffff"}},
            "calls": [{"from": FIRST_ADDRESS, "data": "0x00"}],
        }
    ],
)
@example(
    style={"outcome": False},
    checks="funds",
    blocks=[
        {
            "state": {FIRST_ADDRESS: {"balance": "0x" + "ff" * 32}},
            "calls": [{"from": FIRST_ADDRESS, "value": "0x1", "to": FIRST_ADDRESS}],
        }
    ],
)
def test_any_simulation_is_answered_or_refused_by_a_code(chain, style, checks, blocks):
    request = json.dumps({"style": style, "checks": checks, "blocks": blocks}).encode()
    environment = chain.environment(chain.newest.round)
    with contextlib.suppress(CallFailed):
        json.loads(chain.engine.simulate(environment, request, version=chain.newest.round))


@settings(deadline=None, max_examples=examples(100))
@given(request=st.binary(max_size=64))
def test_any_bytes_are_refused_by_a_code(chain, request):
    environment = chain.environment(chain.newest.round)
    with pytest.raises(CallFailed) as refusal:
        chain.engine.simulate(environment, request, version=chain.newest.round)
    assert (refusal.value.module, refusal.value.code) == ("trace", 2)
