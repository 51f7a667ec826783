"""Whatever a host shows to an enclave: it is believed as it was signed, or refused by a type."""

import hypothesis.strategies as st
from hypothesis import given

from shared.encoding.record import decode_record, encode_record
from shared.errors import Rejected
from shared.rules.light_client import LightClient
from shared.types.proof import ProvenState
from tests.support.chains import CHAIN_ID, VALIDATORS, SoloChain
from tests.support.counter import transaction


def _proven() -> bytes:
    chain = SoloChain().started()
    chain.engine.submit(transaction(0, "key", "value"))
    chain.make_blocks(3)
    return encode_record(chain.store.load_proven_state([b"key", b"absent"], 3))


PROVEN = _proven()
TRUTH = {b"key": b"value", b"absent": None}


def show(untrusted: bytes) -> None:
    client = LightClient(CHAIN_ID, VALIDATORS)
    try:
        verified = client.verify(decode_record(ProvenState, untrusted))
    except Rejected:
        assert client.height == 0
        return
    assert verified.height == 3
    assert verified.values.items() <= TRUTH.items()


@given(st.data())
def test_changed_bytes_show_nothing_false(data):
    changed = bytearray(PROVEN)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    show(bytes(changed))


@given(st.integers(0, len(PROVEN)), st.binary(max_size=64), st.integers(0, 64))
def test_cut_and_spliced_bytes_show_nothing_false(at, inserted, dropped):
    show(PROVEN[:at] + inserted + PROVEN[at + dropped :])


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused(untrusted):
    show(untrusted)
