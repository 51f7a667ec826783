"""
web3.py's own tests of its modules, against a running gateway of a public ParaTime, profile `dev`.

They are classes that web3.py ships for implementers of nodes. Where a test cannot pass, one of the
same name takes its place and asserts what happens instead; `tests/vectors/web3-deviations.json`
lists them with their reasons, for docs/conformance.md, and nothing else is left out.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from eth_typing import ChecksumAddress, HexStr
from eth_utils import to_bytes, to_checksum_address
from web3 import Web3
from web3._utils.module_testing import (
    EthModuleTest,
    GoEthereumTxPoolModuleTest,
    NetModuleTest,
    Web3ModuleTest,
    eth_module,
)
from web3._utils.module_testing.utils import RequestMocker
from web3.contract import Contract
from web3.exceptions import Web3RPCError, Web3ValueError
from web3.types import RPCEndpoint, TxParams, Wei

from tests.support.networks import ROOT, ProcessNetwork, port_base, wait_for
from tests.support.web3_chain import CONTRACTS, Web3Chain, connect, make_chain

pytestmark = [pytest.mark.filterwarnings("default")]
NETWORK = ROOT / "tests" / "e2e" / "web3py.toml"
DEVIATIONS = ROOT / "tests" / "vectors" / "web3-deviations.json"
KEY = "0x47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a"
"""Of an account that the gateway has unlocked, as web3.py's tests expect."""
INVALID_PARAMS = -32602
GWEI = 10**9
MINER = to_checksum_address("0x0000000000000000000000000000000088888888")
"""Of every block, as Sapphire's gateway shows it."""


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web3Chain]:
    network = ProcessNetwork(tmp_path_factory.mktemp("web3py") / "data", port_base(26545), NETWORK)
    network.up()
    yield make_chain(network.url, KEY)
    network.down()
    network.close()


@pytest.fixture
def w3(chain: Web3Chain) -> Web3:
    return connect(chain.url)


def _contract(name: str) -> Any:
    @pytest.fixture(name=f"{name}_contract")
    def contract(chain: Web3Chain, w3: Web3) -> Any:
        return w3.eth.contract(address=chain.addresses[name], **CONTRACTS[name])

    return contract


math_contract = _contract("math")
emitter_contract = _contract("emitter")
revert_contract = _contract("revert")
offchain_lookup_contract = _contract("offchain_lookup")
panic_errors_contract = _contract("panic_errors")
storage_contract = _contract("storage")


@pytest.fixture
def math_contract_address(chain: Web3Chain) -> ChecksumAddress:
    return chain.addresses["math"]


@pytest.fixture(params=[to_bytes, str])
def emitter_contract_address(chain: Web3Chain, request: pytest.FixtureRequest) -> Any:
    address = chain.addresses["emitter"]
    return to_bytes(hexstr=address) if request.param is to_bytes else address


@pytest.fixture
def keyfile_account_pkey(chain: Web3Chain) -> str:
    return chain.key


@pytest.fixture
def keyfile_account_address(chain: Web3Chain) -> ChecksumAddress:
    return chain.account


@pytest.fixture
def keyfile_account_address_dual_type(chain: Web3Chain) -> ChecksumAddress:
    return chain.account


@pytest.fixture
def math_contract_deploy_txn_hash(chain: Web3Chain) -> Any:
    return chain.math_deployment


@pytest.fixture
def txn_hash_with_log(chain: Web3Chain) -> Any:
    return chain.log_transaction


@pytest.fixture
def mined_txn_hash(chain: Web3Chain) -> Any:
    return chain.mined_transaction


@pytest.fixture
def empty_block(chain: Web3Chain, w3: Web3) -> Any:
    return w3.eth.get_block(chain.empty_block)


@pytest.fixture
def block_with_txn(chain: Web3Chain, w3: Web3) -> Any:
    return w3.eth.get_block(chain.mined_block)


@pytest.fixture
def block_with_txn_with_log(chain: Web3Chain, w3: Web3) -> Any:
    return w3.eth.get_block(chain.log_block)


@pytest.fixture
def request_mocker() -> type[RequestMocker]:
    return RequestMocker


@pytest.fixture
def skip_if_testrpc() -> Callable[[Web3], None]:
    return lambda _: None


FIXED_PRICES = (
    *("test_eth_send_transaction", "test_eth_send_transaction_legacy"),
    *("test_eth_send_raw_transaction", "test_eth_get_transaction_receipt_unmined"),
    *("test_eth_wait_for_transaction_receipt_unmined", "test_gas_price_strategy_hex_value"),
    "test_gas_price_from_strategy_bypassed_for_dynamic_fee_txn",
)
"""Tests that offer a few gwei, where the least price is 100 but for the next transaction."""
REPLACING = ("test_eth_replace_transaction", "test_eth_modify_transaction")
"""How names of others begin that do."""
SENDING_NOTHING = ("test_eth_replace_transaction_non_existing_transaction",)


def rpc(w3: Web3, method: str, *params: Any) -> Any:
    answer = w3.provider.make_request(RPCEndpoint(method), list(params))
    assert "error" not in answer, answer
    return answer["result"]


def code_of(error: Web3RPCError) -> int | str:
    assert error.rpc_response is not None
    return error.rpc_response["error"]["code"]


class TestEth(EthModuleTest):
    @pytest.fixture(autouse=True)
    def _cheap(self, w3: Web3, request: pytest.FixtureRequest) -> Iterator[None]:
        name: str = request.node.originalname
        is_cheap = name in FIXED_PRICES or name.startswith(REPLACING)
        if not is_cheap or name in SENDING_NOTHING:
            yield
            return
        usual = w3.eth.gas_price
        rpc(w3, "hardhat_setNextBlockBaseFeePerGas", hex(GWEI))
        yield
        wait_for(lambda: w3.eth.gas_price == usual, 60, "the least price is what it was")

    def test_eth_get_balance_with_block_identifier(self, w3: Web3) -> None:
        miners = {w3.eth.get_block(block)["miner"] for block in (0, "latest")}
        assert miners == {MINER}
        assert w3.eth.get_balance(MINER, 0) == w3.eth.get_balance(MINER, "latest") == 0

    def test_invalid_eth_sign_typed_data(
        self, w3: Web3, keyfile_account_address: ChecksumAddress
    ) -> None:
        message = {
            "types": {
                "EIP712Domain": [],
                "Person": [{"name": "name", "type": "string"}],
                "Mail": [{"name": "to", "type": "Person[2]"}],
            },
            "primaryType": "Mail",
            "domain": {},
            "message": {"to": [{"name": "Bob"}]},
        }
        with pytest.raises(Web3RPCError, match=r"a Person\[2\] is a list of that length") as failed:
            w3.eth.sign_typed_data(keyfile_account_address, json.dumps(message))
        assert code_of(failed.value) == INVALID_PARAMS

    def _replaces_nothing(self, w3: Web3, keyfile_account_address: ChecksumAddress) -> None:
        account = keyfile_account_address
        transfer: TxParams = {"from": account, "to": account, "value": Wei(1), "gas": 21000}
        sent = w3.eth.send_transaction({**transfer, "gasPrice": Wei(GWEI)})
        assert w3.eth.get_transaction_receipt(sent)["status"] == 1
        with pytest.raises(Web3ValueError, match="has already been mined"):
            w3.eth.replace_transaction(sent, {**transfer, "gasPrice": Wei(2 * GWEI)})
        with pytest.raises(Web3ValueError, match="has already been mined"):
            w3.eth.modify_transaction(sent, value=Wei(2))

    test_eth_replace_transaction_legacy = _replaces_nothing
    test_eth_replace_transaction = _replaces_nothing
    test_eth_replace_transaction_underpriced = _replaces_nothing
    test_eth_replace_transaction_gas_price_defaulting_minimum = _replaces_nothing
    test_eth_replace_transaction_gas_price_defaulting_strategy_higher = _replaces_nothing
    test_eth_replace_transaction_gas_price_defaulting_strategy_lower = _replaces_nothing
    test_eth_modify_transaction_legacy = _replaces_nothing
    test_eth_modify_transaction = _replaces_nothing

    def _is_there_at_once(self, w3: Web3, keyfile_account_address: ChecksumAddress) -> None:
        account = keyfile_account_address
        sent = w3.eth.send_transaction(
            {
                **TxParams({"from": account, "to": account, "value": Wei(1), "gas": 21000}),
                **TxParams({"maxFeePerGas": Wei(3 * GWEI), "maxPriorityFeePerGas": Wei(GWEI)}),
            }
        )
        assert w3.eth.get_transaction_receipt(sent)["transactionHash"] == sent
        assert w3.eth.wait_for_transaction_receipt(sent, timeout=0.01)["status"] == 1

    test_eth_get_transaction_receipt_unmined = _is_there_at_once
    test_eth_wait_for_transaction_receipt_unmined = _is_there_at_once

    def test_sign_authorization_send_raw_and_send_set_code_transactions(
        self,
        w3: Web3,
        keyfile_account_pkey: HexStr,
        math_contract: Contract,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(eth_module, "Wei", lambda amount: Wei(100 * amount))
        super().test_sign_authorization_send_raw_and_send_set_code_transactions(
            w3, keyfile_account_pkey, math_contract
        )

    def _is_the_newest(self, w3: Web3) -> None:
        assert w3.eth.get_block("pending") == w3.eth.get_block("latest")
        assert w3.eth.get_block("pending")["number"] == w3.eth.block_number

    test_eth_getBlockByHash_pending = _is_the_newest  # noqa: N815
    test_eth_getBlockByNumber_pending = _is_the_newest  # noqa: N815


class TestNet(NetModuleTest):
    pass


class TestTxPool(GoEthereumTxPoolModuleTest):
    pass


class TestWeb3(Web3ModuleTest):
    def _check_web3_client_version(self, client_version: str) -> None:
        assert "/qanat-python" in client_version


def test_whatever_takes_a_test_s_place_is_listed_with_its_reason() -> None:
    listed = json.loads(DEVIATIONS.read_text())["deviations"]
    assert all(one["instead"] and one["reason"] for one in listed)
    own = {
        name
        for tests in (TestEth, TestNet, TestTxPool, TestWeb3)
        for name in vars(tests)
        if name.startswith("test_")
    }
    assert own == {name for one in listed for name in one["tests"]}
