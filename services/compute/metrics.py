"""Every metric of a compute node's host."""

from prometheus_client import Counter, Gauge, Histogram

is_ready = Gauge("qanat_compute_ready", "1 when the node is registered, level and has its keys.")
round_number = Gauge("qanat_compute_round", "Newest round that the node holds.")
pool_transactions = Gauge("qanat_compute_pool_transactions", "Transactions that wait.")
pool_bytes = Gauge("qanat_compute_pool_bytes", "Raw bytes of the transactions that wait.")
submissions = Counter(
    "qanat_compute_submissions", "Transactions at the door of the pool, by outcome.", ["outcome"]
)
proposals = Counter("qanat_compute_proposals", "Proposals, by what became of them.", ["outcome"])
executions_seconds = Histogram(
    "qanat_compute_execution_seconds",
    "Time from handing a batch to the enclave to its signed result.",
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1),
)
batch_transactions = Histogram(
    "qanat_compute_batch_transactions",
    "Transactions in an executed batch.",
    buckets=(0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000),
)
votes = Counter("qanat_compute_votes", "Votes sent, by kind.", ["kind"])
rounds = Counter("qanat_compute_rounds", "Finalized rounds, by the type of their header.", ["type"])
rounds_not_mine = Counter(
    "qanat_compute_overruled_rounds", "Rounds where another result than the node's became final."
)
rounds_fetched = Counter("qanat_compute_fetched_rounds", "Rounds taken from peers.")
bad_peers = Counter("qanat_compute_bad_peer_answers", "Answers of peers that did not hold.")
registrations = Counter("qanat_compute_registrations", "Registrations of this node.")
queries = Counter("qanat_compute_queries", "Queries answered, by kind.", ["kind"])
