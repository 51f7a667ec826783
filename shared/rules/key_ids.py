"""
Names of key pairs: what a compute enclave asks the key manager for.

A key pair id is TupleHash256 over the items that say what the pair is for. It is not secret: the
key manager mixes it with a secret of its own. Source: oasis-sdk runtime-sdk/src/keymanager.rs,
modules/evm/src/state.rs, src/crypto/random.rs, src/callformat.rs @ 00da39c.
"""

from shared.crypto.hashes import sha512_256, tuple_hash256

KEY_PAIR_ID = b"oasis-runtime-sdk/keymanager: key pair id"
TRANSACTION = b"oasis-runtime-sdk/private: tx"
STATE = b"oasis-runtime-sdk/evm: state"
RANDOM = b"oasis-runtime-sdk/crypto: root vrf key v1"
OLDER_EPOCHS = 5
"""Epochs back whose calldata is still accepted. Source: oasis-sdk runtime-sdk, callformat.rs."""


def key_pair_id(*items: bytes) -> bytes:
    """Name a key pair by the things it is for; 32 bytes."""
    return tuple_hash256(KEY_PAIR_ID, *items)


def transaction_key_id(runtime_id: bytes, chain_context: str, epoch: int) -> bytes:
    """
    Name the ephemeral pair to which clients encrypt the calldata of one epoch.

    Parameters
    ----------
    runtime_id : `bytes`
        The ParaTime, 32 bytes.
    chain_context : `str`
        Hex hash of the consensus genesis document, as text.
    epoch : `int`
        Epoch of the pair [epochs].
    """
    chain = sha512_256(runtime_id + chain_context.encode()).hex()
    context = TRANSACTION + b" for chain " + chain.encode()
    return key_pair_id(context, epoch.to_bytes(8, "big"))


def state_key_id(address: bytes) -> bytes:
    """
    Name the long-term pair whose `state_key` encrypts the storage of a contract.

    `address` has 20 bytes. The key is of generation 0 for the whole life of a contract, so that old
    state stays readable when the master secret rotates.
    """
    return key_pair_id(STATE, address)


def random_key_id(mode: int, header_hash: bytes) -> bytes:
    """
    Name the ephemeral pair from which the randomness of one round grows.

    `mode` is 0 execute, 1 check, 2 simulate, 3 pre-schedule; `header_hash` is that of the round's
    parent header, 32 bytes. The id is known only once the parent is final, so its key is asked
    for in every round; an enclave that may not wait asks for `epoch_random_key_id` instead.
    """
    return key_pair_id(RANDOM, bytes([mode]), header_hash)


def epoch_random_key_id() -> bytes:
    """
    Name the ephemeral pair under which an enclave derives the randomness of all rounds of an epoch.

    Differs from upstream, which asks the key manager once a round (`random_key_id`): the enclave
    mixes mode and header hash into the key itself, which gives the same secrecy without a request
    on the way of every round.
    """
    return key_pair_id(RANDOM)
