"""Every metric of a compute node's host."""

from prometheus_client import Counter, Gauge

from shared.kit.metrics import keep_children
from shared.types.identity import RuntimeId

is_ready = Gauge(
    "qanat_compute_ready", "1 when the node is registered, level and has its keys.", ["runtime"]
)
round_number = Gauge("qanat_compute_round", "Newest round that the node holds.", ["runtime"])
pool_transactions = Gauge("qanat_compute_pool_transactions", "Transactions that wait.", ["runtime"])
pool_bytes = Gauge(
    "qanat_compute_pool_bytes", "Raw bytes of the transactions that wait.", ["runtime"]
)
submissions = Counter(
    "qanat_compute_submissions", "Transactions at the door of the pool, by outcome.", ["outcome"]
)
proposals = Counter("qanat_compute_proposals", "Proposals, by what became of them.", ["outcome"])
execution_seconds = Counter(
    "qanat_compute_execution_seconds",
    "Time from handing batches to the enclave to their signed results.",
)
executed_batches = Counter("qanat_compute_executed_batches", "Batches that the enclave executed.")
executed_transactions = Counter(
    "qanat_compute_executed_transactions", "Transactions in these batches."
)
votes = Counter(
    "qanat_compute_votes", "Votes sent to consensus, by kind; others' are `joined`.", ["kind"]
)
votes_not_joined = Counter(
    "qanat_compute_votes_not_joined",
    "Votes that this node sent itself, since nothing came of handing them to the scheduler.",
)
rounds = Counter("qanat_compute_rounds", "Finalized rounds, by the type of their header.", ["type"])
rounds_not_mine = Counter(
    "qanat_compute_overruled_rounds", "Rounds where another result than the node's became final."
)
rounds_fetched = Counter("qanat_compute_fetched_rounds", "Rounds taken from peers.")
equivocations = Counter(
    "qanat_compute_seen_equivocations", "Schedulers seen to sign two proposals for one round."
)
bad_peers = Counter("qanat_compute_bad_peer_answers", "Answers of peers that did not hold.")
registrations = Counter("qanat_compute_registrations", "Registrations of this node.")
queries = Counter("qanat_compute_queries", "Queries to the runtime.")
oldest_state = Gauge(
    "qanat_compute_oldest_state_rounds",
    "Oldest round whose state is kept, by the end of the ParaTime's id.",
    ["runtime"],
)

# Each round asks them several times.
keep_children(submissions, proposals, votes, rounds)


def runtime_label(runtime_id: RuntimeId) -> str:
    """Short name of a ParaTime: the end of its id, as in the logs. A host serves a few."""
    return runtime_id.hex()[-8:]
