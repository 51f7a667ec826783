"""The rows of the table: what a figure is called, and what it must reach."""

from dataclasses import dataclass

SERVICES = ("consensus", "keymanager", "compute", "gateway")
ENCLAVES = ("keymanager enclave", "compute enclave")
PARTS = ("launcher", "fork server", *SERVICES, *ENCLAVES)
"""Kinds of processes."""

ABSOLUTE, OF_HARDHAT, OF_ANVIL = "", "hardhat", "anvil"


@dataclass(frozen=True)
class Row:
    """One figure of the table."""

    key: str
    """Name of the figure in `measures.py`."""
    label: str
    unit: str
    more_is_better: bool = False
    against: str = ""
    """Figure of the peers that this one is compared with, where theirs has another name."""
    must: float | None = None
    stretch: float | None = None
    goal: str = ABSOLUTE
    """What `must` and `stretch` are: figures, or multiples of a peer's figure."""

    @property
    def peers_key(self) -> str:
        return self.against or self.key


ROWS = (
    Row("start", "process start to first mined transaction", "s", must=2.5, stretch=1.5),
    Row("halt", "running chain to stopped", "s"),
    Row("resume", "stopped chain to ready again", "s", must=2.5, stretch=1.5),
    Row("plain p50", "ERC-20 send to receipt, plain, p50", "ms", must=8, stretch=5),
    Row("plain p95", "  p95", "ms"),
    Row("plain p99", "  p99", "ms"),
    Row("encrypted p50", "  encrypted, p50", "ms", against="plain p50", must=9, stretch=6),
    Row("encrypted p95", "  p95", "ms", against="plain p95"),
    Row("encrypted p99", "  p99", "ms", against="plain p99"),
    Row("single p50", "  with one worker, plain, p50", "ms", must=5, stretch=3),
    Row("closed plain", "20 accounts closed, plain", "/s", True, "", 1.0, 1.5, OF_HARDHAT),
    Row("closed encrypted", "  encrypted", "/s", True, "closed plain", 0.7, 1.0, OF_HARDHAT),
    Row("in flight plain", "32 in flight, plain", "/s", True, "", 1.3, 2.0, OF_HARDHAT),
    Row("in flight encrypted", "  encrypted", "/s", True, "in flight plain", 1.0, 1.5, OF_HARDHAT),
    Row("batches", "batches of 50, plain", "/s", True, "", 1.3, 2.5, OF_HARDHAT),
    Row("burst", "60 of one account, no waiting", "ms"),
    Row("calls plain", "eth_call, 16 at a time, plain", "/s", True, "", 2.0, 4.0, OF_HARDHAT),
    Row("calls encrypted", "  encrypted", "/s", True, "calls plain", 1.5, 3.0, OF_HARDHAT),
    Row("block numbers", "eth_blockNumber, 16 at a time", "/s", more_is_better=True),
    Row("hashing", "call of 20,000 hashes", "ms", must=1.3, stretch=1.0, goal=OF_ANVIL),
    Row("storage", "transaction of 5 M gas of storage", "ms", False, "", 2.5, 1.0, OF_HARDHAT),
    Row("logs", "eth_getLogs, 2,000 events", "ms"),
    Row("snapshot", "evm_snapshot", "ms", must=100, stretch=50),
    Row("revert", "evm_revert", "ms", must=100, stretch=50),
    Row("long snapshot", "evm_snapshot after 10,000 transactions", "ms", must=200, stretch=100),
    Row("long revert", "evm_revert there", "ms", must=200, stretch=100),
    Row("long whole revert", "evm_revert of 10,000 transactions", "ms", must=200, stretch=100),
    Row("suite", "upstream's `contracts` suite, what needs no Sapphire", "s"),
    Row("suite passed", "  tests that pass", "", more_is_better=True),
    Row("suite all", "  the whole of it", "s"),
    Row("suite all passed", "  tests that pass", "", more_is_better=True),
    Row("quiet p50", "ERC-20 send to receipt, beside a service without clients, p50", "ms"),
    Row("model p50", "  while four clients use a language model, p50", "ms"),
    Row("model share", "  of the quiet network's", "%", must=110, stretch=100),
    Row("model tokens", "  what the model says meanwhile, to all four", "tokens/s", True),
    Row("memory", "resident, all processes (PSS)", "MiB", must=480, stretch=380),
    *(Row(f"memory {part}", f"  each {part}", "MiB") for part in PARTS),
    Row("idle", "idle CPU, of one core", "%", must=3, stretch=2),
    Row("idle just asked", "  2 to 8 s after somebody asked", "%"),
    *(Row(f"import {name}", f"  alone: importing {name}", "ms") for name in SERVICES),
    Row("packages", "third-party packages, on the disk", "MiB"),
    Row("lost", "accepted transactions lost", "", must=0, stretch=0),
    Row("aged plain p50", "aged: send to receipt, plain, p50", "ms"),
    Row("aged fresh p50", "  of a fresh network, in turn with it", "ms"),
    Row("aged closed plain", "  20 accounts closed, plain", "/s", more_is_better=True),
    Row("aged fresh closed", "  of the fresh network", "/s", more_is_better=True),
    Row("aged share", "  of that", "%", more_is_better=True, must=95, stretch=100),
    Row("machine", "how fast the machine was: a fixed piece of work before each row", "ms"),
    Row("machine slowest", "  the slowest", "ms"),
    Row("machine cold", "  as long after 0.1 s without work as at once", "times"),
)


def meets(row: Row, value: float, limit: float, peers: dict[str, dict[str, float]]) -> bool | None:
    """Say whether a figure reaches a limit; None where the peer that it asks about is not here."""
    if row.goal:
        peer = peers.get(row.goal, {}).get(row.peers_key)
        if peer is None:
            return None
        limit *= peer
    return value >= limit if row.more_is_better else value <= limit
