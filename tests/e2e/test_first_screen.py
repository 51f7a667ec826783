"""What the README's first screen promises: one command, then `curl`."""

from tests.support.networks import RunningNetwork, wait_for


def test_chain_id_is_that_of_sapphire_localnet(network: RunningNetwork) -> None:
    assert network.rpc("eth_chainId") == "0x5afd"
    assert network.rpc("net_version") == "23293"


def test_blocks_appear_while_nothing_happens(network: RunningNetwork) -> None:
    first = network.block_number()
    wait_for(lambda: network.block_number() >= first + 2, 60, "two more blocks")


def test_calldata_key_is_signed_and_of_an_epoch(network: RunningNetwork) -> None:
    key = network.rpc("oasis_callDataPublicKey")
    assert len(key["key"]) == len(key["checksum"]) == 66
    assert len(key["signature"]) == 130
    assert isinstance(key["epoch"], int)


def test_ten_accounts_hold_ten_thousand_tokens(network: RunningNetwork) -> None:
    # Account 4 is the one that sapphire-localnet's own self-test polls; no test spends from it.
    balance = network.rpc("eth_getBalance", "0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65", "latest")
    assert balance == "0x21e19e0c9bab2400000"


def test_health_is_empty_and_says_ready(network: RunningNetwork) -> None:
    answer = network.get("/health")
    assert (answer.status_code, answer.content) == (200, b"")


def test_the_mock_is_named_in_the_status(network: RunningNetwork) -> None:
    assert network.get("/status").json()["tee"] == "MOCK"
