"""Writes docs/metrics.md from what the services declare; run it as a module."""

import importlib
from pathlib import Path

from prometheus_client.metrics import MetricWrapperBase

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "metrics.md"
SERVICES = ("consensus", "keymanager", "compute", "gateway", "runtime_gateway", "worker")
MODULES = {"node": "shared.kit.metrics", "gateways": "shared.gateways.metrics"} | {
    name: f"services.{name}.metrics" for name in SERVICES
}
"""Where the metrics of each service stand, and those that every node has."""


def render() -> str:
    lines = [
        "# Metrics",
        "",
        "Every host process serves these at `/metrics`, beside those of the Python runtime. Base",
        "units; counters end in `_total`. This page is made by",
        "`python -m tests.support.metrics_page`, and a test compares it.",
    ]
    for service, path in MODULES.items():
        module = importlib.import_module(path)
        metrics = [m for m in vars(module).values() if isinstance(m, MetricWrapperBase)]
        lines += ["", f"## {service}", "", "| metric | kind | labels | what |", "|---|---|---|---|"]
        for metric in sorted(metrics, key=lambda one: one._name):
            labels = ", ".join(f"`{name}`" for name in metric._labelnames) or "-"
            lines.append(
                f"| `{metric._name}` | {metric._type} | {labels} | {metric._documentation} |"
            )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(render())
