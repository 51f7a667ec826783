"""
`eth_config`: what the chain's fork is, and which precompiles it has (EIP-7910).

The precompiles are those of `crates/evm-core/src/precompiles/mod.rs`.
"""

import zlib

from services.gateway.index.chain_index import ChainIndex
from services.gateway.rpc.errors import QueryRejected
from services.gateway.rpc.methods import rpc_method
from services.gateway.rpc.shapes import Json

ETHEREUM = (
    *("ECREC", "SHA256", "RIPEMD160", "ID", "MODEXP"),
    *("BN254_ADD", "BN254_MUL", "BN254_PAIRING"),
)
"""From address 1 on; names of EIP-7910."""
ETHEREUM_ONLY = (
    *("BLAKE2F", "KZG_POINT_EVALUATION", "BLS12_G1ADD", "BLS12_G1MSM", "BLS12_G2ADD"),
    *("BLS12_G2MSM", "BLS12_PAIRING_CHECK", "BLS12_MAP_FP_TO_G1", "BLS12_MAP_FP2_TO_G2"),
)
"""The next ones, up to Osaka's, on public ParaTimes."""
P256VERIFY = 0x100
CONFIDENTIAL = {
    0x0001: "SAPPHIRE_RANDOM_BYTES",
    0x0002: "SAPPHIRE_X25519_DERIVE",
    0x0003: "SAPPHIRE_DEOXYSII_SEAL",
    0x0004: "SAPPHIRE_DEOXYSII_OPEN",
    0x0005: "SAPPHIRE_KEYPAIR_GENERATE",
    0x0006: "SAPPHIRE_SIGN",
    0x0007: "SAPPHIRE_VERIFY",
    0x0008: "SAPPHIRE_CURVE25519_PUBLIC",
    0x0009: "SAPPHIRE_GAS_USED",
    0x000A: "SAPPHIRE_PAD_GAS",
}
GENERAL = {
    0x0101: "OASIS_SHA512_256",
    0x0102: "OASIS_SHA512",
    0x0103: "OASIS_SUBCALL",
    0x0104: "OASIS_SHA384",
}
"""On public ParaTimes as well. Addresses are 1 in the first byte, and these in the last two."""
NO_BLOBS = {"target": 0, "max": 0, "baseFeeUpdateFraction": 0}


class EthConfigMethods:
    """The one answer about forks."""

    def __init__(self, index: ChainIndex, chain_id: int, *, confidential: bool) -> None:
        self._index, self._chain_id = index, chain_id
        own = (CONFIDENTIAL if confidential else {}) | GENERAL
        names = ETHEREUM if confidential else ETHEREUM + ETHEREUM_ONLY
        self._precompiles = {name: f"0x{at:040x}" for at, name in enumerate(names, 1)}
        if not confidential:
            self._precompiles["P256VERIFY"] = f"0x{P256VERIFY:040x}"
        self._precompiles |= {name: f"0x01{at:038x}" for at, name in own.items()}

    @rpc_method("eth_config")
    async def config(self) -> Json:
        """Fork of the chain, the same since genesis, with its precompiles; none is to come."""
        genesis = await self._index.find_round(0)
        if genesis is None:
            raise QueryRejected("the first block is no longer here")
        current = {
            "activationTime": 0,
            "blobSchedule": NO_BLOBS,
            "chainId": hex(self._chain_id),
            # EIP-6122: all forks were active at genesis, so that its hash alone counts.
            "forkId": f"0x{zlib.crc32(genesis.hash):08x}",
            "precompiles": self._precompiles,
            "systemContracts": {},
        }
        return {"current": current, "next": None, "last": None}
