import pytest

from shared.crypto.entropy import SeededEntropy, SystemEntropy
from shared.crypto.signing import (
    BadSignature,
    Signer,
    register_context,
    verify_signature,
)

CONTEXT = register_context("qanat/test: signing")
SIGNER = Signer(bytes(range(32)))
CHAIN = "ab" * 32


def test_signature_holds_for_its_message_and_context_only() -> None:
    context = CONTEXT.for_chain(CHAIN)
    signature = SIGNER.sign(context, b"message")
    verify_signature(SIGNER.public_key, context, b"message", signature)
    others = [
        (Signer(bytes(32)).public_key, context, b"message", signature),
        (SIGNER.public_key, CONTEXT.for_chain("cd" * 32), b"message", signature),
        (SIGNER.public_key, CONTEXT.for_runtime(CHAIN, bytes(32), 0), b"message", signature),
        (SIGNER.public_key, CONTEXT.anywhere(), b"message", signature),
        (SIGNER.public_key, context, b"massage", signature),
        (SIGNER.public_key, context, b"message", bytes(64)),
        (SIGNER.public_key, context, b"message", signature[:63]),
        (SIGNER.public_key[:31], context, b"message", signature),
    ]
    for key, used, message, given in others:
        with pytest.raises(BadSignature):
            verify_signature(key, used, message, given)


def test_context_is_registered_once() -> None:
    with pytest.raises(ValueError, match="registered twice"):
        register_context("qanat/test: signing")


def test_private_key_does_not_show_itself() -> None:
    assert "<secret>" in repr(SIGNER)
    assert SIGNER.sign_raw(b"")[:4].hex() not in repr(SIGNER)


def test_seeded_entropy_repeats_and_labels_are_independent() -> None:
    first, second = SeededEntropy(bytes(32)), SeededEntropy(bytes(32))
    drawn = [first.draw("a"), first.draw("b"), first.draw("a")]
    second.draw("c")
    assert [second.draw("b"), second.draw("a"), second.draw("a")] == [drawn[1], drawn[0], drawn[2]]
    assert len(set(drawn)) == 3
    assert SeededEntropy(b"\x01" * 32).draw("a") != drawn[0]


def test_system_entropy_does_not_repeat() -> None:
    assert SystemEntropy().draw("a", 16) != SystemEntropy().draw("a", 16)
