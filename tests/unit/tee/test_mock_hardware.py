"""The mock Intel says that it is one, and repeats itself from a seed."""

from cryptography import x509

from qanat import cpu
from qanat.cpu.platform_server import PlatformServer
from tests.support import mock_tee


def test_every_certificate_says_mock():
    pki = mock_tee.pki()
    chain = (
        mock_tee.platform().pck_chain + pki.issue_collateral(mock_tee.NOW_S).tcb_info_issuer_chain
    )
    certificates = x509.load_pem_x509_certificates(chain.encode())
    assert len(certificates) == 5
    for certificate in certificates:
        assert all("MOCK" in str(part.value) for part in certificate.subject)
        assert all("MOCK" in str(part.value) for part in certificate.issuer)


def test_one_seed_makes_one_network():
    networks = [
        cpu.create_network_pki(mock_tee.entropy("seed"), mock_tee.NOW_S * 10**9) for _ in range(2)
    ]
    assert networks[0] == networks[1]
    platforms = [network.create_platform("node-0") for network in networks]
    assert platforms[0] == platforms[1]
    quotes = [PlatformServer(one, mock_tee.ENCLAVE, b"").quote(bytes(64)) for one in platforms]
    assert quotes[0] == quotes[1]


def test_platforms_have_nothing_secret_in_common():
    one, other = mock_tee.platform("node-0"), mock_tee.platform("node-1")
    assert one.secret != other.secret
    assert one.pck_key != other.pck_key
    assert one.platform_id != other.platform_id


def test_files_are_read_back():
    platform, pki = mock_tee.platform(), mock_tee.pki()
    assert cpu.PlatformFile.from_bytes(platform.to_bytes()) == platform
    assert cpu.NetworkPki.from_bytes(pki.to_bytes()) == pki


def test_secrets_do_not_show():
    platform, pki = mock_tee.platform(), mock_tee.pki()
    shown = repr(platform) + repr(pki)
    for secret in (platform.secret, platform.pck_key, pki.root_key, pki.platform_seed):
        assert repr(secret) not in shown


def test_renewed_collateral_travels_with_the_next_quote():
    server = mock_tee.mock_cpu()
    stale = mock_tee.pki().issue_collateral(mock_tee.NOW_S, cpu.TcbDeclaration(status="OutOfDate"))
    server.renew_collateral(mock_tee.platform().with_collateral(stale))
    assert server.quote(bytes(64)).collateral == stale
