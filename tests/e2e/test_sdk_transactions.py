"""Transactions of the SDK's own format and apps, over JSON-RPC alone."""

from typing import Any

import cbor2
import pytest

from shared.types.sdk_transaction import (
    NATIVE,
    TRANSACTION_VERSION,
    AuthInfo,
    Call,
    Fee,
    SignerInfo,
    Transaction,
    encode_signed,
    encode_transaction,
    signature_context,
)
from tests.support.attested_apps import EthereumKey, policy
from tests.support.networks import SECOND_KEY, RpcFailure, RunningNetwork

GAS, PRICE = 1_000_000, 100 * 10**9
OWNER = EthereumKey(bytes.fromhex(SECOND_KEY.removeprefix("0x")))


def query(network: RunningNetwork, method: str, args: Any) -> Any:
    found = network.rpc("oasis_query", method, "0x" + cbor2.dumps(args, canonical=True).hex())
    return cbor2.loads(bytes.fromhex(found[2:]))


def sign(network: RunningNetwork, method: str, body: Any) -> bytes:
    info = network.rpc("oasis_runtimeInfo")
    context = signature_context(bytes.fromhex(info["runtimeId"][2:]), info["chainContext"])
    nonce = query(network, "accounts.Nonce", {"address": OWNER.address})
    ai = AuthInfo((SignerInfo(OWNER.spec, nonce),), Fee((GAS * PRICE, NATIVE), GAS))
    signed = encode_transaction(Transaction(TRANSACTION_VERSION, Call(body, method), ai))
    return encode_signed(signed, OWNER.sign(context, signed))


def send(network: RunningNetwork, raw: bytes) -> dict[str, Any]:
    hash_ = network.rpc("oasis_sendRawTransaction", "0x" + raw.hex())
    found: dict[str, Any] = network.rpc("oasis_getTransactionResult", hash_)
    return found


def test_an_app_is_made_and_removed_and_ethereum_does_not_see_it(network: RunningNetwork) -> None:
    raw = sign(network, "rofl.Create", {"policy": policy(), "scheme": 0, "metadata": {}})
    made = send(network, raw)
    assert made["status"] == "0x1"
    app = cbor2.loads(bytes.fromhex(made["result"][2:]))["ok"]
    assert query(network, "rofl.App", {"id": app})["admin"] == OWNER.address
    block = network.rpc("eth_getBlockByNumber", made["blockNumber"], False)
    assert block["hash"] == made["blockHash"]
    assert made["transactionHash"] not in block["transactions"]
    assert network.rpc("eth_getTransactionByHash", made["transactionHash"]) is None
    with pytest.raises(RpcFailure, match="invalid nonce"):
        network.rpc("oasis_sendRawTransaction", "0x" + raw.hex())
    assert send(network, sign(network, "rofl.Remove", {"id": app}))["status"] == "0x1"
    with pytest.raises(RpcFailure):
        query(network, "rofl.App", {"id": app})


def test_what_is_no_such_transaction_is_refused(network: RunningNetwork) -> None:
    raw = sign(network, "accounts.Transfer", {"to": bytes(21), "amount": [b"\1", b""]})
    spoilt = raw[:-1] + bytes([raw[-1] ^ 1])
    for other in (b"", b"\x82", b"\x82" * 200, raw[:-1], spoilt, raw + b"\0", b"\x02" + raw):
        with pytest.raises(RpcFailure, match="malformed transaction"):
            network.rpc("oasis_sendRawTransaction", "0x" + other.hex())
    with pytest.raises(RpcFailure, match="no market for machines here"):
        network.rpc("oasis_query", "roflmarket.Providers", "0x")
    for method in ("evm.Trace", "qanat.View", "lying.Arm", "rofl.Register"):
        with pytest.raises(RpcFailure, match="no such query"):
            network.rpc("oasis_query", method, "0x")


def test_what_clients_of_upstream_ask_is_answered(network: RunningNetwork) -> None:
    own = {"address": OWNER.address}
    balance = int.from_bytes(query(network, "consensus.Balance", own)["balance"], "big")
    assert balance == int(network.rpc("eth_getBalance", "0x" + OWNER.ethereum.hex(), "latest"), 16)
    assert OWNER.address in query(network, "accounts.Addresses", {"denomination": b""})
    assert query(network, "accounts.DenominationInfo", {"denomination": b""}) == {"decimals": 18}
    key = query(network, "core.CallDataPublicKey", None)
    shown = network.rpc("oasis_callDataPublicKey")
    assert "0x" + key["public_key"]["key"].hex() == shown["key"]
    # Nodes of the network have stake there, and nobody here has any.
    pair = {"from": OWNER.address, "to": OWNER.address}
    assert query(network, "consensus.Delegation", pair) == {"shares": b""}
    for method, args in (
        ("consensus.Delegations", {"from": OWNER.address}),
        ("consensus.Undelegations", {"to": OWNER.address}),
        ("consensus.AllUndelegations", None),
    ):
        assert query(network, method, args) == []
    assert query(network, "consensus.Account", own) == {}
    code = network.rpc("eth_getCode", "0x" + OWNER.ethereum.hex(), "latest")
    assert "0x" + query(network, "evm.Code", {"address": OWNER.ethereum}).hex() == code
    # What an estimate gives is enough, and the most that a client of upstream pays.
    transfer = {"to": bytes(21), "amount": [b"\1", b""]}
    ai = AuthInfo((SignerInfo(OWNER.spec, 0),), Fee())
    tx = Transaction(TRANSACTION_VERSION, Call(transfer, "accounts.Transfer"), ai)
    gas = query(network, "core.EstimateGas", {"tx": cbor2.loads(encode_transaction(tx))})
    sent = send(network, sign(network, "accounts.Transfer", transfer))
    assert sent["status"] == "0x1"
    assert int(sent["gasUsed"], 16) <= gas < int(sent["gasUsed"], 16) + 100
