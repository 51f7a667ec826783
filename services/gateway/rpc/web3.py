"""`web3_*` methods."""

import platform
from importlib.metadata import PackageNotFoundError, version

from services.gateway.rpc.methods import rpc_method
from services.gateway.rpc.parameters import data
from services.gateway.rpc.shapes import show_bytes
from shared.crypto.hashes import keccak256


def software_version() -> str:
    """Version of the installed package; `source` where it runs from a checkout."""
    try:
        return version("qanat")
    except PackageNotFoundError:
        return "source"


def client_name() -> str:
    """Name and version, in the original's form."""
    return f"oasis/{software_version()}/qanat-python{platform.python_version()}"


class Web3Methods:
    """Answers of the namespace."""

    def __init__(self, client_version: str = "") -> None:
        """`client_version` stands in for the name in the original's form, where it is not empty."""
        self._client = client_version or client_name()

    @rpc_method("web3_clientVersion")
    async def client_version(self) -> str:
        """Name and version, in the original's form or as the network file has it."""
        return self._client

    @rpc_method("web3_sha3", data)
    async def sha3(self, message: bytes) -> str:
        """Keccak-256."""
        return show_bytes(keccak256(message))
