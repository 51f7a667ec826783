import pytest

from services.compute.config import read_compute_settings
from services.compute.rules.txpool import SEQUENCE_WINDOW
from shared.kit.settings import BadSettings

RUNTIME = b"\x80" + bytes(31)
REQUIRED = {
    "QANAT_NODE_NAME": "compute-0",
    "QANAT_DATA_DIR": "/somewhere",
    "QANAT_PORT": "1",
    "QANAT_GENESIS": "2",
    "QANAT_ADVERTISE": "a:1",
    "QANAT_CONSENSUS": "c:3",
    "QANAT_ENCLAVE_FDS": "5",
}


@pytest.mark.parametrize(("text", "window"), [("7", 7), ("0", 0), ("upstream", 9)])
def test_window_of_nonces_is_set_for_each_paratime(text, window):
    settings = read_compute_settings(
        REQUIRED | {"QANAT_NONCE_WINDOWS": f"{RUNTIME.hex()}={text}, 8001=5"}
    )
    assert settings.sequence_window(RUNTIME) == window
    assert settings.sequence_window(bytes(32)) == SEQUENCE_WINDOW == 1_000


@pytest.mark.parametrize("text", ["80", "80=", "80=many", "80=-1", "80=1.5"])
def test_window_that_is_none_is_named(text):
    with pytest.raises(BadSettings, match="NONCE_WINDOWS"):
        read_compute_settings(REQUIRED | {"QANAT_NONCE_WINDOWS": text})
