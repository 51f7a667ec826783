"""Keys of the nodes."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from shared.crypto.entropy import Entropy
from shared.crypto.signing import Signer


@dataclass(frozen=True, slots=True)
class Identity:
    """Seeds of one node's Ed25519 keys, hex. Its entity is its own, so that slashing hits one."""

    node_seed: str
    consensus_seed: str
    tls_seed: str
    entity_seed: str
    dev_control_seed: str | None = None
    """Only in consensus nodes, and only where the network has dev controls."""

    def __repr__(self) -> str:
        return f"Identity(node_id={self.node.public_key.hex()}, <secret>)"

    @property
    def node(self) -> Signer:
        """Key that names the node."""
        return Signer(bytes.fromhex(self.node_seed))

    @property
    def consensus(self) -> Signer:
        """Key that signs blocks."""
        return Signer(bytes.fromhex(self.consensus_seed))

    @property
    def entity(self) -> Signer:
        """Key of the node's owner, who holds the stake."""
        return Signer(bytes.fromhex(self.entity_seed))


def create_identity(entropy: Entropy, name: str, dev_control_seed: str | None = None) -> Identity:
    """Draw the keys of a node."""
    seeds = {
        f"{key}_seed": entropy.draw(f"identity {name} {key}").hex()
        for key in ("node", "consensus", "tls", "entity")
    }
    return Identity(**seeds, dev_control_seed=dev_control_seed)


def save_identity(path: Path, identity: Identity) -> None:
    """Write the seeds where only the owner reads them."""
    values = {key: value for key, value in asdict(identity).items() if value is not None}
    write_private(path, json.dumps(values, indent=1).encode())


def save_node_key(path: Path, node_seed: bytes) -> None:
    """Write the one key that a gateway has."""
    write_private(path, json.dumps({"node_seed": node_seed.hex()}, indent=1).encode())


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(mode=0o600)
    path.write_bytes(content)
