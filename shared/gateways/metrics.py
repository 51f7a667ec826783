"""What every gateway counts of what it is told."""

from prometheus_client import Counter

proofs_verified = Counter(
    "qanat_gateway_proofs_verified", "Consensus blocks with rounds whose proof was verified."
)
forged_rounds = Counter(
    "qanat_gateway_forged_rounds", "Rounds that a compute node showed with forged contents."
)
