from pathlib import Path

import pytest

from qanat.accounts import TEST_MNEMONIC, BadAccounts, derive_accounts
from qanat.banner import GatewayLine, render_banner
from qanat.funding import choose_funding
from qanat.network import load_network

NETWORK = load_network(Path(__file__).resolve().parents[3] / "networks" / "default.toml")
OTHER = "legal winner thank year wave sausage worth useful legal winner thank yellow"


def test_known_accounts_are_those_that_the_mnemonic_derives() -> None:
    import eth_account

    eth_account.Account.enable_unaudited_hdwallet_features()
    for index, known in enumerate(derive_accounts(TEST_MNEMONIC, 10)):
        derived = eth_account.Account.from_mnemonic(
            TEST_MNEMONIC, account_path=f"m/44'/60'/0'/0/{index}"
        )
        assert known.address == derived.address
        assert known.private_key == "0x" + bytes(derived.key).hex()


def test_default_is_ten_accounts_of_the_test_mnemonic() -> None:
    funding = choose_funding(NETWORK, to=None, count=None, amount=None)
    assert len(funding.accounts) == 10
    assert set(funding.balances().values()) == {10_000}


def test_other_mnemonic_count_and_amount_are_taken() -> None:
    funding = choose_funding(NETWORK, to=OTHER, count=2, amount="1_000")
    assert funding.accounts == derive_accounts(OTHER, 2)
    assert set(funding.balances().values()) == {1000}


@pytest.mark.parametrize("separator", [",", " ", ", "])
def test_addresses_are_funded_without_keys(separator: str) -> None:
    addresses = ["0x" + "11" * 20, "0x" + "22" * 20]
    funding = choose_funding(NETWORK, to=separator.join(addresses), count=None, amount=None)
    assert list(funding.balances()) == addresses
    assert all(account.private_key is None for account in funding.accounts)


def test_one_address_is_funded() -> None:
    # sapphire-localnet silently funds nobody here.
    funding = choose_funding(NETWORK, to="0x" + "11" * 20, count=None, amount=None)
    assert list(funding.balances()) == ["0x" + "11" * 20]


@pytest.mark.parametrize("to", ["0x1234", "0x" + "zz" * 20, "these are no words at all"])
def test_other_text_is_refused(to: str) -> None:
    with pytest.raises(BadAccounts):
        choose_funding(NETWORK, to=to, count=None, amount=None)


@pytest.mark.parametrize("amount", ["many", "-1", "1.5"])
def test_amount_is_a_whole_number(amount: str) -> None:
    with pytest.raises(BadAccounts):
        choose_funding(NETWORK, to=None, count=None, amount=amount)


def test_banner_has_the_lines_that_tools_wait_for() -> None:
    funding = choose_funding(NETWORK, to=None, count=None, amount=None)
    text = render_banner(
        accounts=funding.accounts,
        tokens=10_000,
        mnemonic=funding.mnemonic,
        gateways=[GatewayLine("sapphire", 8545, 8546, 0x5AFD)],
        seconds=1.25,
    )
    for line in (
        "Available Accounts",
        "(0) 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266 (10,000 TEST)",
        "Private Keys",
        "HD Wallet",
        f"Mnemonic:      {TEST_MNEMONIC}",
        "Base HD Path:  m/44'/60'/0'/0/%d",
        "Web3 RPC listening on http://localhost:8545 and ws://localhost:8546. Chain ID: 0x5afd.",
        "Start-up took 1.2 seconds, every node is ready.",
    ):
        assert line in text.splitlines()
    assert "MOCK" in text
