"""Every metric of the gateway."""

from prometheus_client import Counter, Gauge, Histogram

rpc_requests = Counter("qanat_gateway_rpc_requests", "JSON-RPC requests by method.", ["method"])
rpc_failures = Counter(
    "qanat_gateway_rpc_failures", "JSON-RPC requests that were answered by an error.", ["method"]
)
rpc_seconds = Histogram(
    "qanat_gateway_rpc_seconds",
    "Time to answer a JSON-RPC request [s].",
    ["method"],
    buckets=(0.00005, 0.0002, 0.001, 0.005, 0.02, 0.1, 0.5, 2.5, 10.0),
)
http_refusals = Counter(
    "qanat_gateway_http_refusals", "HTTP requests that were refused, by status.", ["status"]
)
websockets_open = Gauge("qanat_gateway_websockets_open", "WebSocket connections.")
subscriptions_open = Gauge(
    "qanat_gateway_subscriptions_open", "WebSocket subscriptions by kind.", ["kind"]
)
websockets_dropped = Counter(
    "qanat_gateway_websockets_dropped", "WebSocket connections cut off for reading too slowly."
)
rounds_indexed = Counter("qanat_gateway_rounds_indexed", "Rounds taken into the index.")
transactions_indexed = Counter(
    "qanat_gateway_transactions_indexed", "Transactions taken into the index."
)
newest_round = Gauge("qanat_gateway_newest_round", "Newest round in the index.")
durable_round = Gauge("qanat_gateway_durable_round", "Newest round in the database.")
compute_up = Gauge("qanat_gateway_compute_nodes_up", "Compute nodes that deliver rounds.")
is_ready = Gauge("qanat_gateway_ready", "1 when an encrypted call went through every node.")
min_gas_price_wei = Gauge(
    "qanat_gateway_min_gas_price_wei", "Smallest gas price that nodes take [wei]."
)
