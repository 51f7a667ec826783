"""What `qanat tx` prints."""

from typing import Any

from qanat.tx_command import _lines

REPORT: dict[str, Any] = {
    "hash": "0x93",
    "status": "success",
    "from": "0xf3",
    "to": "0xa1",
    "block": 7,
    "position": 0,
    "encrypted": True,
    "envelope": {"epoch": "0x3", "key": "0x22"},
    "votes": {"epoch": 3, "agreed": ["compute-0"], "differed": [], "discrepancy": False},
    "gas_used": 21000,
    "gas_limit": 200000,
    "gas_price_wei": "100",
    "contract": None,
    "error": None,
    "call": None,
    "input": None,
    "reason": None,
    "result": None,
    "output": None,
    "trace": None,
    "seen_by": None,
}


def printed(**changes: Any) -> str:
    return "\n".join(_lines(REPORT | changes))


def test_what_everybody_sees_has_no_inside() -> None:
    text = printed()
    assert "encrypted to the key of epoch 3, by 0x22" in text
    assert "in epoch 3: compute-0 agreed" in text
    assert "21000 of 200000" in text
    assert "calls" not in text


def test_plain_calldata_is_said_loudly() -> None:
    assert "PLAIN: everybody reads it" in printed(encrypted=False, envelope=None, input="0x01")


def test_disagreement_and_forgotten_votes_are_said() -> None:
    votes = REPORT["votes"] | {"differed": ["compute-1"], "discrepancy": True}
    assert "compute-1 differed; backup workers decided" in printed(votes=votes)
    assert "forgotten" in printed(votes=votes | {"agreed": None})
    assert "executed" not in printed(votes=None)


def test_calls_are_a_tree_and_brackets_stay() -> None:
    call = {"function": "f(uint8[])", "arguments": {"a": ["1"]}}
    trace = {
        "type": "CALL",
        "to": "0xa1",
        "gasUsed": "0x5208",
        "error": "execution reverted",
        "calls": [{"type": "STATICCALL", "to": "0xb2", "gasUsed": "0x1"}],
    }
    text = printed(call=call, trace=trace, seen_by="the debug key")
    assert "f(uint8[])" in text
    assert "a = ['1']" in text
    assert "CALL 0xa1 gas 21000  [execution reverted]\n      STATICCALL 0xb2 gas 1" in text


def test_a_transaction_in_no_block_has_no_more_to_show() -> None:
    assert printed(status="pending").endswith("to        0xa1")
