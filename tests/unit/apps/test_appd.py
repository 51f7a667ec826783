"""What became of a transaction, as the app daemon tells it."""

import base64

import cbor2
import pytest

from apps.appd import read_outcome
from apps.errors import AppdAway, CallRefused


def told(outcome: object) -> str:
    return cbor2.dumps(outcome, canonical=True).hex()


def test_success_gives_what_the_contract_returned() -> None:
    assert read_outcome(told({"ok": b"returned"})) == b"returned"


def test_a_revert_carries_its_bytes() -> None:
    reverted = b"\x12\x34\x56\x78" + bytes(32)
    message = "reverted: " + base64.b64encode(reverted).decode()
    with pytest.raises(CallRefused) as caught:
        read_outcome(told({"fail": {"module": "evm", "code": 8, "message": message}}))
    assert caught.value.data == reverted


@pytest.mark.parametrize("message", ["insufficient balance", "reverted: no base64!"])
def test_another_refusal_carries_its_words(message: str) -> None:
    with pytest.raises(CallRefused, match=message) as caught:
        read_outcome(told({"fail": {"module": "core", "code": 5, "message": message}}))
    assert caught.value.data == b""


@pytest.mark.parametrize(
    "text", ["", "zz", "ff", told({"ok": "text"}), told({"unknown": b""}), told([]), told({})]
)
def test_what_is_no_result_is_no_success(text: str) -> None:
    with pytest.raises(AppdAway, match="no result"):
        read_outcome(text)
