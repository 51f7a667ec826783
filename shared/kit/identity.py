"""Keys of a node's host, from the identity file that the launcher wrote."""

import json
from dataclasses import dataclass
from pathlib import Path

from shared.crypto.signing import Signer
from shared.encoding.record import decode_record
from shared.errors import Rejected
from shared.types.genesis import Genesis

IDENTITY_FILE = "identity.json"


class BadIdentity(Rejected, module="settings", code=2):
    """The identity file is missing or is not one."""


@dataclass(frozen=True, slots=True)
class NodeIdentity:
    """Who a node is. Its entity is its own, so that slashing hits only the guilty."""

    node: Signer
    """Names the node, and sends its transactions."""
    consensus: Signer
    """Signs blocks, where the node is a validator."""
    tls: Signer
    entity: Signer
    """Holds the stake."""
    dev_control: Signer | None = None
    """Moves time and epochs; only in consensus nodes of networks with dev controls."""


def load_identity(data_dir: Path) -> NodeIdentity:
    """Read the keys of the node whose directory this is, or raise `BadIdentity`."""
    path = data_dir / IDENTITY_FILE
    try:
        seeds = json.loads(path.read_text())
        return NodeIdentity(
            node=_signer(seeds["node_seed"]),
            consensus=_signer(seeds["consensus_seed"]),
            tls=_signer(seeds["tls_seed"]),
            entity=_signer(seeds["entity_seed"]),
            dev_control=_signer(seeds["dev_control_seed"]) if "dev_control_seed" in seeds else None,
        )
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        # The text of the error might quote a seed, so only its kind is told.
        raise BadIdentity(f"{path} is not an identity file: {type(error).__name__}") from None


def load_node_key(data_dir: Path) -> Signer | None:
    """Read the key of a gateway, which has no others; None of one that has none: a stranger."""
    path = data_dir / IDENTITY_FILE
    try:
        return _signer(json.loads(path.read_text())["node_seed"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise BadIdentity(f"{path} is not an identity file: {type(error).__name__}") from None


def load_genesis(path: Path) -> Genesis:
    """Read the genesis document, or raise `MalformedRecord`."""
    return decode_record(Genesis, path.read_bytes())


def load_outline(path: Path) -> Genesis:
    """Read what a host keeps of the genesis document, or raise `MalformedRecord`."""
    return load_genesis(path).outline()


def validator_keys(genesis: Genesis) -> frozenset[bytes]:
    """Give the keys of which the consensus service must prove one."""
    return frozenset(validator.public_key for validator in genesis.validators)


def nodes_of_entities(genesis: Genesis) -> frozenset[bytes]:
    """Give the nodes that the entities of the genesis list: they may be about to register."""
    return frozenset(node for entity in genesis.entities for node in entity.nodes)


def known_keys(genesis: Genesis) -> frozenset[bytes]:
    """Give the keys of everybody whom the genesis names: nodes and gateways, no strangers."""
    return nodes_of_entities(genesis).union(genesis.gateways)


def _signer(seed: str) -> Signer:
    return Signer(bytes.fromhex(seed))
