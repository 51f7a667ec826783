"""Metrics of what every host has: its connections."""

import functools

from prometheus_client import Counter, Gauge
from prometheus_client.metrics import MetricWrapperBase

connections = Gauge("qanat_node_connections", "Connections to this node's port.")
dropped_connections = Counter(
    "qanat_node_dropped_connections", "Connections that were cut off, by reason.", ["reason"]
)
refused_requests = Counter(
    "qanat_node_refused_requests",
    "Requests and notices that were not served because too much was under way.",
)


def keep_children(*metrics: MetricWrapperBase) -> None:
    """Have metrics keep what they give for their labels: finding it takes 20 times an `inc`."""
    for metric in metrics:
        metric.labels = functools.cache(metric.labels)  # type: ignore[method-assign]
