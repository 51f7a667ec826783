"""The account that a worker pays from."""

from shared.crypto.hashes import kmac256
from shared.rules.transaction_keys import EthereumKey


def fee_key(node_seed: bytes) -> EthereumKey:
    """
    Give the account from which a worker funds what it pays fees from.

    A node's own account in a ParaTime has no Ethereum address, by which genesis gives balances.
    """
    return EthereumKey(kmac256(node_seed, b"", b"qanat/worker: account that fees come from"))
