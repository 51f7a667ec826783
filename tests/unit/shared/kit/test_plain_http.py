"""Clients of our own services read no certificate authorities; whoever asks by TLS has them."""

import ssl

import pytest

from shared.kit.plain_http import NOBODY, trust_for


@pytest.mark.parametrize("url", ["http://localhost:8545", "", "localhost", "http://https:80"])
def test_plain_addresses_trust_nobody(url: str) -> None:
    assert trust_for(url) is NOBODY
    assert NOBODY.cert_store_stats()["x509"] == 0
    assert NOBODY.verify_mode is ssl.CERT_REQUIRED
    assert NOBODY.check_hostname


@pytest.mark.parametrize("url", ["https://sapphire.oasis.io", "HTTPS://sapphire.oasis.io"])
def test_addresses_by_tls_are_verified(url: str) -> None:
    assert trust_for(url) is True
