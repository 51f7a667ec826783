"""Calldata, results and reasons, read by an ABI or by one signature."""

import json

import pytest
from eth_abi.abi import encode

from qanat.abi import Abi, BadAbi, load_abi, read_output, read_signature
from shared.crypto.hashes import keccak256
from tests.support.networks import load_artifact

ACCOUNT = "0x" + "ab" * 20
TRANSFER = bytes.fromhex("a9059cbb")


def test_a_signature_reads_arguments_and_result() -> None:
    abi = read_signature("transfer(address,uint256)(bool)")
    found = abi.read_call(TRANSFER + encode(["address", "uint256"], [ACCOUNT, 7]))
    assert found is not None
    function, arguments = found
    assert function.signature == "transfer(address,uint256)"
    assert arguments == {"#0": ACCOUNT, "#1": "7"}
    assert read_output(function, encode(["bool"], [True])) == {"#0": True}


def test_structs_and_lists_are_read_as_well() -> None:
    abi = read_signature("f((uint256,address[])[2], bytes)")
    (function,) = abi.functions
    assert function.signature == "f((uint256,address[])[2],bytes)"
    pairs = [(1, [ACCOUNT]), (2**255, [])]
    data = encode(["(uint256,address[])[2]", "bytes"], [pairs, b"\x01"])
    found = abi.read_call(function.selector + data)
    assert found is not None
    assert found[1] == {"#0": [["1", [ACCOUNT]], [str(2**255), []]], "#1": "0x01"}


def test_an_artifact_names_arguments_and_errors(tmp_path) -> None:
    abi = load_abi(load_artifact("Vault").path)
    data = keccak256(b"store(bytes)")[:4] + encode(["bytes"], [b"secret"])
    found = abi.read_call(data)
    assert found is not None
    assert found[1] == {"value": "0x" + b"secret".hex()}
    tuples = {
        "type": "function",
        "name": "g",
        "inputs": [
            {"name": "p", "type": "tuple[]", "components": [{"name": "a", "type": "uint8"}]}
        ],
    }
    path = tmp_path / "abi.json"
    path.write_text(json.dumps([tuples, {"type": "constructor", "inputs": []}]))
    assert [one.signature for one in load_abi(path).functions] == ["g((uint8)[])"]


def test_reasons_that_solidity_has_need_no_abi() -> None:
    reason = bytes.fromhex("08c379a0") + encode(["string"], ["no"])
    found = Abi().read_error(reason)
    assert found is not None
    assert found[1] == {"reason": "no"}
    assert Abi().read_error(b"\x01\x02\x03\x04") is None


@pytest.mark.parametrize("data", [b"", b"\xa9", TRANSFER, TRANSFER + bytes(31), bytes(100)])
def test_what_does_not_fit_is_not_read(data: bytes) -> None:
    assert read_signature("transfer(address,uint256)").read_call(data) is None


@pytest.mark.parametrize(
    "text", ["", "f", "f(", "f)", "(uint256)", "f(uint257)", "f(what)", "f(uint256", "f()x", "1f()"]
)
def test_bad_signatures_are_refused(text: str) -> None:
    with pytest.raises(BadAbi):
        read_signature(text)


@pytest.mark.parametrize(
    "content", ["", "7", "{}", "[7]", '{"abi":[{"name":"f","inputs":[{}]}]}', "[" * 10**5]
)
def test_bad_files_are_refused(content: str, tmp_path) -> None:
    path = tmp_path / "abi.json"
    path.write_text(content)
    with pytest.raises(BadAbi):
        load_abi(path)
