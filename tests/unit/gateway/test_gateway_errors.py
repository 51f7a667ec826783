import pytest

from services.gateway.rpc.errors import (
    InvalidParameters,
    MalformedTransaction,
    TransactionRefused,
    describe_error,
    revert_reason,
)
from shared.enclave.errors import RoundPruned
from shared.errors import PeerUnavailable, RuntimeRejected, error_from


def error_string(text: bytes, *, start=32, length=None) -> bytes:
    size = len(text) if length is None else length
    padded = text.ljust((len(text) + 31) // 32 * 32, b"\0")
    return bytes.fromhex("08c379a0") + start.to_bytes(32, "big") + size.to_bytes(32, "big") + padded


def test_revert_with_a_string():
    data = error_string(b"not today")
    error = RuntimeRejected("evm", 8, "reverted: whatever", data)
    assert describe_error(error) == {
        "code": 3,
        "message": "execution reverted: not today",
        "data": "0x" + data.hex(),
    }


def test_revert_without_data_has_empty_data():
    assert describe_error(RuntimeRejected("evm", 8, "reverted: ")) == {
        "code": 3,
        "message": "execution reverted",
        "data": "0x",
    }


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x08\xc3\x79",
        bytes.fromhex("08c379a0"),
        bytes.fromhex("08c379a0") + bytes(63),
        error_string(b"x", start=2**255),
        error_string(b"x", start=64),
        error_string(b"x", length=2**200),
        error_string(b"x", length=100),
        bytes.fromhex("deadbeef") + bytes(64),
        bytes.fromhex("4e487b71") + bytes(31),
    ],
)
def test_bytes_that_are_no_reason(data):
    assert revert_reason(data) is None


def test_a_state_that_is_pruned_is_refused_in_the_words_that_clients_look_for():
    arrived = error_from("compute", RoundPruned.code, "the state of round 5 is pruned")
    assert describe_error(arrived) == {
        "code": -32000,
        "message": "missing trie node: the state of round 5 is pruned",
    }


def test_panics_are_named():
    panic = bytes.fromhex("4e487b71")
    assert revert_reason(panic + (0x11).to_bytes(32, "big")) == "arithmetic underflow or overflow"
    assert revert_reason(panic + (0x99).to_bytes(32, "big")) == "unknown panic code: 0x99"


def test_reason_that_is_not_utf8_is_shown_all_the_same():
    assert revert_reason(error_string(b"\xff\xfe")) == "��"


@pytest.mark.parametrize(
    ("error", "described"),
    [
        (
            RuntimeRejected("evm", 2, "execution failed: out of gas"),
            {"code": -32000, "message": "evm: execution failed: out of gas"},
        ),
        (
            RuntimeRejected("core", 18, "invalid call format: epoch too far in the past"),
            {
                "code": -32000,
                "message": "core: invalid call format: epoch too far in the past",
            },
        ),
        (MalformedTransaction(), {"code": -32000, "message": "malformed transaction"}),
        (
            TransactionRefused("core", 4, "invalid nonce"),
            {
                "code": -32000,
                "message": "client: transaction check failed: runtime error: "
                "module: core code: 4 message: invalid nonce",
            },
        ),
        (InvalidParameters("missing"), {"code": -32602, "message": "missing"}),
        (PeerUnavailable("gone"), {"code": -32000, "message": "gone"}),
    ],
)
def test_table_of_codes_and_texts(error, described):
    assert describe_error(error) == described
