"""
The key managers' policy: who signs it, and where those keys are kept.

Whoever holds the file changes the policy: a new serial, signed by enough of them, sent by the
entity that owns the key manager. Without it a network can never let another enclave have keys.
"""

import json
from pathlib import Path

from qanat.provision.identities import write_private
from shared.crypto.entropy import Entropy
from shared.crypto.signing import Signer
from shared.encoding.record import encode_record
from shared.types.keymanager import POLICY, Policy, SignedPolicy

POLICY_SIGNERS = 3
POLICY_THRESHOLD = 2
"""As upstream's test builds: two of three. Source: oasis-core keymanager/src/policy @ f9f1fdc."""


def draw_policy_seeds(entropy: Entropy) -> tuple[bytes, ...]:
    """Draw the seeds of the signers' keys."""
    return tuple(entropy.draw("policy signer") for _ in range(POLICY_SIGNERS))


def save_policy_seeds(path: Path, seeds: tuple[bytes, ...]) -> None:
    """Keep the seeds where only the network's owner reads them."""
    content = {"threshold": POLICY_THRESHOLD, "seeds": [seed.hex() for seed in seeds]}
    write_private(path, json.dumps(content, indent=1).encode())


def load_policy_signers(path: Path) -> list[Signer]:
    """Read the signers back."""
    return [Signer(bytes.fromhex(seed)) for seed in json.loads(path.read_text())["seeds"]]


def sign_policy(policy: Policy, signers: list[Signer]) -> SignedPolicy:
    """Sign a policy by as many signers as it needs."""
    raw = encode_record(policy)
    signed = tuple(one.endorse(POLICY.anywhere(), raw) for one in signers[:POLICY_THRESHOLD])
    return SignedPolicy(raw, signed)
