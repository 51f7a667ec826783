"""A worker's evidence: for this challenge, of this key, and of code that counts."""

import asyncio
import json

import pytest

from apps.appd import BlockingAppd
from apps.data_market.chain.attestation import bound_to, verify_worker
from apps.inference.errors import (
    MalformedDocument,
    MeasurementRefused,
    MockRefused,
    QuoteBindingMismatch,
)
from apps.inference.verify.policy import Policy
from tests.support.inference import NOW_S, daemon

NONCE = bytes(range(32))
ABOUT = {"chain_id": 0x5AFD, "market": "0x01", "worker": "0x02", "upload_key": "03" * 32}
ALLOWED = Policy(allow_mock=True)


@pytest.fixture
def evidence(tmp_path):
    async def quote():
        async with daemon(tmp_path / "s"):
            bound = bound_to(NONCE, ABOUT)
            return await asyncio.to_thread(BlockingAppd(tmp_path / "s").quote, bound)

    return json.dumps(asyncio.run(quote()).document()).encode()


def test_evidence_is_of_what_the_worker_says(evidence):
    measured = verify_worker(NONCE, ABOUT, evidence, ALLOWED, NOW_S)
    pinned = Policy(allow_mock=True, measurements=frozenset({measured}))
    assert verify_worker(NONCE, ABOUT, evidence, pinned, NOW_S) == measured


@pytest.mark.parametrize("changed", [{"upload_key": "04" * 32}, {"market": "0x09"}, {"more": 1}])
def test_another_key_or_market_is_refused(evidence, changed):
    with pytest.raises(QuoteBindingMismatch):
        verify_worker(NONCE, ABOUT | changed, evidence, ALLOWED, NOW_S)


def test_a_replay_a_mock_and_other_code_are_refused(evidence):
    with pytest.raises(QuoteBindingMismatch):
        verify_worker(bytes(32), ABOUT, evidence, ALLOWED, NOW_S)
    with pytest.raises(MockRefused):
        verify_worker(NONCE, ABOUT, evidence, Policy(), NOW_S)
    other = Policy(allow_mock=True, measurements=frozenset({"00" * 48}))
    with pytest.raises(MeasurementRefused):
        verify_worker(NONCE, ABOUT, evidence, other, NOW_S)
    with pytest.raises(MalformedDocument):
        verify_worker(NONCE, ABOUT, b"[]", ALLOWED, NOW_S)
