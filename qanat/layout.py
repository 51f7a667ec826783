"""Where things are in a network's data directory."""

from dataclasses import dataclass
from pathlib import Path

DEV_TOKEN_FILE = "dev-token"  # noqa: S105 - the name of the file
UNLOCKED_KEYS_FILE = "unlocked-keys.json"
DEBUG_KEY_FILE = "debug-key"


@dataclass(frozen=True, slots=True)
class DataLayout:
    """
    Paths below the data directory.

    `public/` is the same for every node; each node has a directory of its own, and in containers a
    volume of its own.
    """

    root: Path

    @property
    def public(self) -> Path:
        """What everybody may read."""
        return self.root / "public"

    @property
    def genesis(self) -> Path:
        """The canonical genesis document."""
        return self.public / "genesis.cbor"

    @property
    def network_file(self) -> Path:
        """The network file of a network that was loaded from a dump."""
        return self.root / "network.toml"

    @property
    def launcher_state(self) -> Path:
        """What the running launcher says of itself."""
        return self.root / "launcher.json"

    @property
    def lock(self) -> Path:
        """Held by the running launcher."""
        return self.root / "launcher.lock"

    @property
    def control_socket(self) -> Path:
        """Where the running launcher takes commands."""
        return self.root / "control.sock"

    @property
    def logs(self) -> Path:
        """One file for each process."""
        return self.root / "logs"

    def log_of(self, name: str, part: str) -> Path:
        """Output of one process of a node."""
        return self.logs / f"{name}.{part}.log"

    def node(self, name: str) -> Path:
        """Directory of a node."""
        return self.root / name

    def host(self, name: str) -> Path:
        """
        What a node's host process reads and writes.

        It is a directory of its own, so that a wall can keep the host from the rest of the node's.
        """
        return self.node(name) / "host"

    def identity(self, name: str) -> Path:
        """Seeds of a node's keys."""
        # Only who asks loads what keys need: every command imports this file.
        from shared.kit.identity import IDENTITY_FILE

        return self.host(name) / IDENTITY_FILE

    @property
    def dev_token(self) -> Path:
        """What dev controls ask for; only the owner of the network reads it."""
        return self.root / DEV_TOKEN_FILE

    def node_dev_token(self, name: str) -> Path:
        """The same, where the node finds it: in containers its directory is all that it sees."""
        return self.host(name) / DEV_TOKEN_FILE

    def unlocked_keys(self, name: str) -> Path:
        """Keys of test accounts with which a gateway signs, where there are dev controls."""
        return self.host(name) / UNLOCKED_KEYS_FILE

    @property
    def debug_key(self) -> Path:
        """Seed of the key that sees what any transaction did; only the network's owner reads it."""
        return self.root / DEBUG_KEY_FILE

    def kept_debug_key(self, consensus: str) -> Path:
        """
        The same, where containers keep it: in a volume, beside the host's directory, not in it.

        A host that had it could see everything.
        """
        return self.node(consensus) / "owner" / DEBUG_KEY_FILE

    @property
    def mock_authority(self) -> Path:
        """Keys of the network's mock Intel: revocations and new TCB data are issued with them."""
        return self.root / "mock-authority.cbor"

    @property
    def policy_signers(self) -> Path:
        """Seeds of the keys that sign the key managers' policies; only the owner reads them."""
        return self.root / "policy-signers.json"

    @property
    def succession(self) -> Path:
        """What consensus is to be told of enclaves that go on for others, until it was told."""
        return self.root / "succession.cbor"

    def enclave_config(self, name: str, runtime: str) -> Path:
        """The measured configuration of a node's enclave for one runtime."""
        return self.node(name) / "enclave" / f"{runtime}.cbor"

    def enclave(self, name: str, runtime: str) -> Path:
        """What a node's enclave for one runtime keeps: sealed blobs and encrypted state."""
        return self.node(name) / "enclave" / runtime

    def platform(self, name: str) -> Path:
        """Secrets of the node's mock CPU: read by the launcher, never by the host."""
        return self.node(name) / "cpu" / "platform.cbor"
