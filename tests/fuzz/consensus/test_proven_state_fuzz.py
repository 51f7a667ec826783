"""Whatever a host shows to an enclave: it is believed as it was signed, or refused by a type."""

import hypothesis.strategies as st
from hypothesis import given

from shared.encoding.record import encode_record
from shared.errors import Rejected
from shared.rules.light_client import LightClient
from shared.types.proof import ProvenBytes
from tests.support.chains import CHAIN_ID, VALIDATORS, SoloChain
from tests.support.counter import transaction

CHAIN = SoloChain().started()
CHAIN.engine.submit(transaction(0, "key", "value"))
CHAIN.make_blocks(3)
STATE = CHAIN.store.load_tree(3)
PROVEN = encode_record(CHAIN.store.load_proven_state([b"key", b"absent"], 3))


def show(untrusted: bytes) -> None:
    client = LightClient(CHAIN_ID, VALIDATORS)
    try:
        verified = client.verify_encoded(ProvenBytes(untrusted))
    except Rejected:
        assert client.height == 0
        return
    assert verified.height == 3
    # A changed key may be another one that is absent: true as well.
    assert all(STATE.get(key) == value for key, value in verified.values.items())


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
