"""Signed transactions of the first well-known account, for gateways over fakes."""

import json
from pathlib import Path

from eth_account import Account

from tests.support.fake_compute import CHAIN_ID
from tests.support.gateway import FIRST_KEY

ACCOUNT = Account.from_key(FIRST_KEY)
ARTIFACTS = Path(__file__).resolve().parents[1] / "contracts" / "artifacts"
GWEI = 10**9
RECEIVER = "0x" + "11" * 20


def sign(nonce: int, *, key: str = FIRST_KEY, **changes) -> str:
    """Hex of a raw legacy transfer, or of what the changes make of it."""
    fields = {
        "to": RECEIVER,
        "value": 1,
        "gas": 200_000,
        "gasPrice": 100 * GWEI,
        "nonce": nonce,
        "chainId": CHAIN_ID,
        "data": b"",
    } | changes
    fields = {name: value for name, value in fields.items() if value is not None}
    return "0x" + bytes(Account.sign_transaction(fields, key).raw_transaction).hex()


def artifact(name: str) -> dict:
    return json.loads((ARTIFACTS / f"{name}.json").read_text())


def log_emitter(*topics: bytes, data: bytes = b"") -> bytes:
    """Init code that emits one event and leaves an empty contract."""
    code = b""
    for offset in range(0, len(data), 32):
        code += b"\x7f" + data[offset : offset + 32].ljust(32, b"\0")
        code += b"\x61" + offset.to_bytes(2, "big") + b"\x52"
    for topic in reversed(topics):
        code += b"\x7f" + topic
    code += b"\x61" + len(data).to_bytes(2, "big") + b"\x60\x00" + bytes([0xA0 + len(topics)])
    return code + b"\x60\x00\x60\x00\xf3"
