from dataclasses import dataclass
from pathlib import Path

import pytest

from shared.kit.settings import BadSettings, read_settings, require_mock_tee_consent


@dataclass(frozen=True)
class Settings:
    node_name: str
    port: int
    data_dir: Path
    key: bytes = b""
    peers: tuple[str, ...] = ()
    is_loud: bool = False


GOOD = {"QANAT_NODE_NAME": "n", "QANAT_PORT": "0x10", "QANAT_DATA_DIR": "/d"}


def test_settings_are_read_by_type() -> None:
    more = {"QANAT_KEY": "0xabcd", "QANAT_PEERS": "a:1, b:2,", "QANAT_IS_LOUD": "1"}
    settings = read_settings(Settings, GOOD | more)
    assert settings == Settings("n", 16, Path("/d"), b"\xab\xcd", ("a:1", "b:2"), is_loud=True)


def test_every_fault_is_named_at_once() -> None:
    with pytest.raises(BadSettings) as caught:
        read_settings(Settings, {"QANAT_PORT": "many", "QANAT_IS_LOUD": "yes"})
    for text in ("NODE_NAME is required", "DATA_DIR is required", "PORT='many'", "IS_LOUD='yes'"):
        assert text in caught.value.message


@pytest.mark.parametrize("environ", [{}, {"QANAT_UNSAFE_MOCK_TEE": "0"}])
def test_nothing_starts_without_consent_to_the_mock(environ: dict[str, str]) -> None:
    with pytest.raises(BadSettings, match="QANAT_UNSAFE_MOCK_TEE=1"):
        require_mock_tee_consent(environ)


def test_consent_is_enough() -> None:
    require_mock_tee_consent({"QANAT_UNSAFE_MOCK_TEE": "1"})
