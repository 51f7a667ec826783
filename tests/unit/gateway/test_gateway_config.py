import pytest

from services.gateway.config import read_gateway_settings
from shared.kit.settings import BadSettings

REQUIRED = {
    "QANAT_NODE_NAME": "gateway",
    "QANAT_DATA_DIR": "/somewhere",
    "QANAT_RUNTIME_ID": "80" + "00" * 31,
    "QANAT_COMPUTE": "a:1, b:2",
    "QANAT_CONSENSUS": "c:3",
    "QANAT_GENESIS": "/somewhere/genesis.cbor",
}


def test_defaults_are_those_of_localnet():
    settings = read_gateway_settings(REQUIRED)
    assert settings.compute == ("a:1", "b:2")
    assert (settings.http_port, settings.ws_port, settings.chain_id) == (8545, 8546, 0x5AFD)
    assert settings.index_url() == "sqlite:////somewhere/index.sqlite"


def test_names_of_the_original_image_are_understood():
    settings = read_gateway_settings(
        REQUIRED
        | {
            "GATEWAY__CHAIN_ID": "0x5afe",
            "GATEWAY__HTTP__CORS": '["https://a", "https://b"]',
            "GATEWAY__OASIS_RPCS": "false",
            "GATEWAY__METHOD_LIMITS__GET_LOGS_MAX_ROUNDS": "7",
        }
    )
    assert settings.chain_id == 0x5AFE
    assert settings.cors_origins == ("https://a", "https://b")
    assert settings.oasis_rpcs is False
    assert settings.logs_max_rounds == 7


def test_our_own_name_wins():
    settings = read_gateway_settings(REQUIRED | {"GATEWAY__CHAIN_ID": "1", "QANAT_CHAIN_ID": "2"})
    assert settings.chain_id == 2


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"QANAT_RUNTIME_ID": "80"}, "RUNTIME_ID must be 32 bytes"),
        ({"QANAT_COMPUTE": " , "}, "COMPUTE must name at least one"),
        ({"QANAT_PROFILE": "loose"}, "PROFILE must be one of strict, dev"),
        ({"QANAT_RECENT_ROUNDS": "3"}, "RECENT_ROUNDS must not be below"),
        ({"GATEWAY__HTTP__CORS": "[1,"}, "is not a list"),
        ({"QANAT_HTTP_PORT": "many"}, "QANAT_HTTP_PORT"),
    ],
)
def test_bad_settings_are_named(changes, fault):
    with pytest.raises(BadSettings, match=fault):
        read_gateway_settings(REQUIRED | changes)
