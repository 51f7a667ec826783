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


class Web3Methods:
    """Answers of the namespace."""

    def __init__(self) -> None:
        self._client = f"oasis/{software_version()}/qanat-python{platform.python_version()}"

    @rpc_method("web3_clientVersion")
    async def client_version(self) -> str:
        """Name and version, in the original's form."""
        return self._client

    @rpc_method("web3_sha3", data)
    async def sha3(self, message: bytes) -> str:
        """Keccak-256."""
        return show_bytes(keccak256(message))
