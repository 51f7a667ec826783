"""
Writes docs/conformance.md from what is tested against others' tests; run it as a module.

`make conformance` makes the score of the state tests anew before it.
"""

import json
from collections import defaultdict
from typing import Any

from tests.support.metrics_page import ROOT

PAGE = ROOT / "docs" / "conformance.md"
VECTORS = ROOT / "tests" / "vectors"
HEAD = """# Conformance

Tests that others wrote for what Qanat claims to be, and where it differs from them on purpose.
There is no list of failures that are allowed. Made by `make conformance`; a test compares this page
with what is tested.
"""
FORKS = (
    *("Frontier", "Homestead", "Byzantium", "Constantinople", "ConstantinopleFix", "Istanbul"),
    *("Berlin", "London", "Paris", "Shanghai", "Cancun", "Prague", "Osaka"),
)


def load(name: str) -> Any:
    return json.loads((VECTORS / name).read_text())


def render() -> str:
    return "\n".join([HEAD, *_state_tests(), *_evm(), *_execution_apis(), ""])


def _state_tests() -> list[str]:
    score = load("state-tests-score.json")
    suites: dict[str, dict[tuple[str, str], tuple[int, int]]] = defaultdict(dict)
    for row in score["rows"]:
        suites[row["suite"]][row["fork"], row["storage"]] = (row["cases"], row["failures"])
    lines = [
        "## Ethereum's state tests",
        "",
        "Every case runs on the machine and the state of `crates/evm-core`, by Ethereum's own",
        "order of fees and checks, with storage in the clear and encrypted; both must end in the",
        "Merkle-Patricia root and the logs that the test names. A sample runs in every",
        "`make rust`; the runner is `crates/evm-core/tests/state_tests`.",
        "",
        "| suite | fork | cases | failures in the clear | failures encrypted |",
        "|---|---|---|---|---|",
    ]
    total = [0, 0, 0]
    for suite, rows in suites.items():
        for fork in FORKS:
            if (fork, "plain") not in rows:
                continue
            (cases, plain), (_, encrypted) = rows[fork, "plain"], rows[fork, "encrypted"]
            lines.append(f"| {suite} | {fork} | {cases:,} | {plain} | {encrypted} |")
            total = [total[0] + cases, total[1] + plain, total[2] + encrypted]
    lines.append(f"| all | | **{total[0]:,}** | **{total[1]}** | **{total[2]}** |")
    for name in score["absent"]:
        lines += ["", f"`{name}` is named in the archive, but not in it."]
    return lines


def _evm() -> list[str]:
    return [
        "",
        "## Where the EVM differs from Ethereum's",
        "",
        "| what | on which chains | why | shown by |",
        "|---|---|---|---|",
        *(
            f"| {one['what']} | {one['chains']} | {one['reason']} | {_shown(one['test'])} |"
            for one in load("evm-deviations.json")["deviations"]
        ),
    ]


def _shown(test: str) -> str:
    path, name = test.split(": ")
    return f"`{name}` in `{path}`"


def _execution_apis() -> list[str]:
    listed = load("execution-apis-deviations.json")
    return [
        "",
        "## ethereum/execution-apis",
        "",
        "Every answer of a gateway of profile `strict` fits its method's schema, or stands here",
        "(`tests/api/gateway/test_gateway_conformance.py`).",
        "",
        "| methods | what | why |",
        "|---|---|---|",
        *(f"| {_names(one['methods'])} | absent | {one['reason']} |" for one in listed["absent"]),
        *(
            f"| {_names(one['methods'])} | `{one['path']}` {one['fault']} | {one['reason']} |"
            for one in listed["deviations"]
        ),
    ]


def _names(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    PAGE.write_text(render())
