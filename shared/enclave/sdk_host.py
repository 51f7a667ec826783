"""What a runtime that takes transactions of the SDK's format needs of the enclave around it."""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SdkHost:
    """Made by the program of what it has verified; equal on every node of a ParaTime."""

    signature_context: bytes
    """Context of signatures under transactions; see `shared.types.sdk_transaction`."""
    key_pair: Callable[[tuple[bytes, ...]], tuple[bytes, bytes]] = field(repr=False)
    """Gives the long-term pair of the key manager of these names: state key, X25519 secret."""
    judge: Callable[[bytes], bytes] = field(repr=False)
    """See `shared.rules.attested_apps.InstanceJudge`."""
