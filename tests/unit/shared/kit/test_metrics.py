from prometheus_client import CollectorRegistry, Counter, generate_latest

from shared.kit.metrics import keep_children


def test_a_metric_that_keeps_its_children_counts_by_label_as_before():
    registry = CollectorRegistry()
    counter = Counter("things", "Things.", ["kind"], registry=registry)
    keep_children(counter)
    for kind in ("a", "b", "a"):
        counter.labels(kind).inc()
    assert counter.labels("a") is counter.labels("a")
    told = generate_latest(registry).decode()
    assert 'things_total{kind="a"} 2.0' in told
    assert 'things_total{kind="b"} 1.0' in told
