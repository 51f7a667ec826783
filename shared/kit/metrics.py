"""Metrics of what every host has: its connections."""

from prometheus_client import Counter, Gauge

connections = Gauge("qanat_node_connections", "Connections to this node's port.")
dropped_connections = Counter(
    "qanat_node_dropped_connections", "Connections that were cut off, by reason.", ["reason"]
)
refused_requests = Counter(
    "qanat_node_refused_requests",
    "Requests and notices that were not served because too much was under way.",
)
