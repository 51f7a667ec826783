"""ERC-20 transfers, plain and encrypted, signed before the clock starts."""

import os
from dataclasses import dataclass

import cbor2
import evm_native
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils import keccak

from tests.support.networks import load_artifact

GAS_PRICE = 100 * 10**9
TRANSFER = bytes.fromhex("a9059cbb")
BALANCE_OF = bytes.fromhex("70a08231")


@dataclass(frozen=True)
class CallKey:
    """The network's calldata key of an epoch."""

    key: bytes
    epoch: int


def encrypt(calldata: bytes, key: CallKey) -> bytes:
    """Put calldata into a Sapphire envelope, as clients do."""
    secret = os.urandom(32)
    nonce = os.urandom(15)
    shared = evm_native.mrae_key(secret, key.key)
    inner = cbor2.dumps({"body": calldata}, canonical=True)
    body = {
        "pk": evm_native.x25519_public(secret),
        "data": evm_native.deoxysii_seal(shared, nonce, inner, b""),
        "epoch": key.epoch,
        "nonce": nonce,
    }
    return cbor2.dumps({"body": body, "format": 1}, canonical=True)


def sign(
    account: LocalAccount,
    chain_id: int,
    nonce: int,
    to: str | None,
    data: bytes,
    gas: int,
    value: int = 0,
) -> str:
    """Sign a legacy transaction; raw bytes as hex text."""
    fields = {
        "nonce": nonce,
        "to": to or "",
        "data": data,
        "gas": gas,
        "gasPrice": GAS_PRICE,
        "value": value,
        "chainId": chain_id,
    }
    return "0x" + bytes(account.sign_transaction(fields).raw_transaction).hex()


def transfer_data(to: str, amount: int) -> bytes:
    return TRANSFER + bytes(12) + bytes.fromhex(to[2:]) + amount.to_bytes(32, "big")


def balance_data(of: str) -> bytes:
    return BALANCE_OF + bytes(12) + bytes.fromhex(of[2:])


def token_code() -> bytes:
    """Creation code of the ERC-20 token, with its supply."""
    return bytes.fromhex(load_artifact("Token").bytecode[2:]) + (10**27).to_bytes(32, "big")


def work_code() -> bytes:
    """Creation code of the contract that computes, stores and emits as much as asked for."""
    return bytes.fromhex(load_artifact("Work").bytecode[2:])


def work_data(signature: str, amount: int) -> bytes:
    """Calldata of a function of `Work` with one number."""
    return keccak(text=signature)[:4] + amount.to_bytes(32, "big")


def fresh_accounts(count: int) -> list[LocalAccount]:
    return [Account.create() for _ in range(count)]
