"""Keys of apps against oasis-sdk's own vectors (`rofl-appd/src/services/kms.rs`)."""

import pytest

from services.worker.appd.rofl_keys import KeyKind, derive_key

KINDS = (
    ("raw-256", "1cba05338c243901f5784a57746ad972e4aa609ab632b3431d85cb8c2f1d72b3"),
    (
        "raw-384",
        (
            "89b9c608809516f749489e2c78d98e4cddda04c7a5695dbf212036aeb80ed2c1"
            "93f6dccd74745dc2fc0e1799073ce9cf"
        ),
    ),
    ("ed25519", "f5d58be0f6df3b91e8c1e918d71c0cf717a4efc35790c9534b58f8c3b2b6163f"),
    ("secp256k1", "97d87b946892a8cfbc2773f13f89a98ef1db9fa15ef799ee9e9841a6f7f28842"),
)
ROOTS = (
    (b"root key 2", "key id", "1b381b7f55e71d60807b799b8bca726e9a00a13f7c49e0496b84458c28273741"),
    (b"root key 3", "key id", "a9344d82255c7f29f83030d49db678021381197ae0c252e8d564cd903c9c66f4"),
    (b"key", "key id 2", "7c042ebcd9f154191e8be9e75b32f81a9dfab48bf2b776db63ae1f8d7304eef6"),
    (b"key", "key id 3", "59939554aa7768e01eb786903856803ab48b0c582d66a97e2a33ca369bbf8c6f"),
)


@pytest.mark.parametrize(("kind", "expected"), KINDS)
def test_kinds_equal_oasis_sdk(kind, expected):
    assert derive_key(b"key", KeyKind(kind), "key id").hex() == expected


@pytest.mark.parametrize(("root", "key_id", "expected"), ROOTS)
def test_roots_and_names_equal_oasis_sdk(root, key_id, expected):
    assert derive_key(root, KeyKind.RAW_256, key_id).hex() == expected
