"""An app's instance on a mock platform of its own, without a network and with known keys."""

import hashlib
import time

from qanat.cpu.pki import NetworkPki, create_network_pki
from qanat.cpu.quoting import QuotingEnclave
from services.worker.appd.errors import NoNetwork
from services.worker.appd.instance import AppInstance, PlatformEvidence
from services.worker.appd.rofl_keys import MOCK_ROOT_KEY
from services.worker.appd.transactions import AppTransaction
from shared.crypto.entropy import SeededEntropy
from shared.crypto.hashes import kmac256, sha256
from shared.rules.app_ids import app_id_by_name
from shared.tee.quote import TD_FLAG_SEPT_VE_DISABLE, TdReport
from shared.types.attestation import Collateral

_CUSTOM = b"qanat/appd: alone (insecure mock)"
ALONE_APP = app_id_by_name("qanat rofl appd")
"""The app that runs where nobody names another."""


class Alone:
    """No chain; quotes by a platform under a mock root that the seed makes."""

    def __init__(self, seed: bytes, measurement: bytes, now_s: int) -> None:
        self.pki: NetworkPki = create_network_pki(
            SeededEntropy(kmac256(seed, b"pki", _CUSTOM)), now_s * 1_000_000_000
        )
        self._measurement = measurement
        self._quoting = QuotingEnclave(self.pki.create_platform("appd"))

    def collateral(self, now_s: int) -> Collateral:
        """Give what a verifier needs beside the quote and the root."""
        return self.pki.issue_collateral(now_s, tee="TDX")

    async def submit(self, transaction: AppTransaction, *, encrypt: bool) -> bytes:
        """Refuse: there is no chain."""
        del encrypt
        raise NoNetwork(f"{transaction.method} is well-formed, but the daemon runs alone")

    async def query(self, method: str, args: bytes) -> bytes:
        """Refuse: there is no chain."""
        del args
        raise NoNetwork(f"{method} has nobody to answer it: the daemon runs alone")

    def quote(self, report_data: bytes, registers: tuple[bytes, bytes, bytes, bytes]) -> bytes:
        """Quote the instance as a trust domain of the mock platform."""
        return self._quoting.quote_domain(
            TdReport(
                attributes=TD_FLAG_SEPT_VE_DISABLE.to_bytes(8, "little"),
                mr_td=self._measurement,
                registers=registers,
                report_data=report_data,
            )
        )

    def platform(self) -> PlatformEvidence:
        """Give the root of the mock, and collateral of when it began."""
        return PlatformEvidence(self.pki.root_ca, self.collateral(self.pki.created_s))


def make_alone(
    *, app_id: bytes = ALONE_APP, seed: bytes | None = None, compose: str = "", now_s: int = 0
) -> tuple[AppInstance, Alone]:
    """
    Make an instance without a network.

    Parameters
    ----------
    app_id : `bytes`
        21 bytes.
    seed : `bytes`, optional
        Fixes every key. Without it the root key is the one of upstream's mock, for the same keys
        as from there.
    compose : `str`
        The app's description, which its measurement is taken of.
    now_s : `int`
        When the mock root's certificates begin [Unix s]; 0 is now.
    """
    own = sha256(seed or b"qanat")
    measurement = hashlib.sha384(b"qanat mock domain" + compose.encode()).digest()
    alone = Alone(own, measurement, now_s or int(time.time()))
    instance = AppInstance(
        app_id=app_id,
        name="appd",
        instance_id=kmac256(own, b"instance", _CUSTOM, 20),
        root_key=MOCK_ROOT_KEY if seed is None else kmac256(own, app_id, _CUSTOM),
        measurement=measurement,
        device_id=sha256(own),
        compose=compose,
        surroundings=alone,
    )
    return instance, alone
