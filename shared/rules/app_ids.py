"""
Ids of attested apps (ROFL): 21 bytes, shown as `rofl1…`.

Source: oasis-sdk `runtime-sdk/src/modules/rofl/app_id.rs` @ 00da39c.
"""

from shared.crypto.address import address_of, from_bech32, to_bech32

HUMAN_READABLE_PART = "rofl"
_CREATOR_ROUND_INDEX = b"oasis-sdk/rofl: cri app id"
_CREATOR_NONCE = b"oasis-sdk/rofl: cn app id"
_GLOBAL_NAME = b"oasis-sdk/rofl: global name app id"


_APPS = b"\x09\x01"
"""Before the keys of apps in a ParaTime's state. Source: `crates/evm-core/src/modules/rofl`."""


def app_key(app_id: bytes) -> bytes:
    """Key of an app's record in the state of a ParaTime."""
    return _APPS + app_id


def app_id_by_place(creator: bytes, round_: int, index: int) -> bytes:
    """Derive the id of an app by who created it (21 bytes), and where in the chain."""
    place = round_.to_bytes(8, "big") + index.to_bytes(4, "big")
    return address_of(_CREATOR_ROUND_INDEX, creator + place)


def app_id_by_nonce(creator: bytes, nonce: int) -> bytes:
    """Derive the id of an app by who created it (21 bytes), and by which transaction."""
    return address_of(_CREATOR_NONCE, creator + nonce.to_bytes(8, "big"))


def app_id_by_name(name: str) -> bytes:
    """Derive the id of an app that a network knows by name."""
    return address_of(_GLOBAL_NAME, name.encode())


def encode_app_id(app_id: bytes) -> str:
    """Bech32 text, `rofl1…`."""
    return to_bech32(HUMAN_READABLE_PART, app_id)


def decode_app_id(text: str) -> bytes:
    """Read bech32 text, or raise `MalformedAddress`."""
    return from_bech32(HUMAN_READABLE_PART, text)
