"""Every metric of the consensus service."""

from prometheus_client import Counter, Gauge, Histogram

from shared.kit.metrics import keep_children

height = Gauge("qanat_consensus_height_blocks", "Height of the newest block.")
oldest_height = Gauge(
    "qanat_consensus_oldest_height_blocks", "Oldest height that is kept, once one was forgotten."
)
epoch = Gauge("qanat_consensus_epoch", "Epoch of the newest block.")
blocks = Counter("qanat_consensus_blocks", "Blocks made since the start.")
transactions = Counter(
    "qanat_consensus_transactions",
    "Transactions by what became of them; those that end blocks do not count.",
    ["outcome"],
)
pool_transactions = Gauge("qanat_consensus_pool_transactions", "Transactions that wait.")
block_seconds = Histogram(
    "qanat_consensus_block_seconds",
    "Time to make, execute and store a block.",
    buckets=(0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.064, 0.25, 1.0),
)
watchers = Gauge("qanat_consensus_watchers", "Clients that follow the blocks.")

# Each block asks it three times.
keep_children(transactions)
