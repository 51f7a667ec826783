"""Every metric of the gateway of a ParaTime."""

from prometheus_client import Counter, Gauge

rounds = Counter("qanat_runtime_gateway_rounds", "Rounds that were read.")
transactions = Counter("qanat_runtime_gateway_transactions", "Transactions in these rounds.")
newest_round = Gauge("qanat_runtime_gateway_newest_round", "Newest round that was read.")
followers = Gauge("qanat_runtime_gateway_followers", "Clients that follow events.")
is_ready = Gauge("qanat_runtime_gateway_ready", "1 when every compute node answers questions.")
