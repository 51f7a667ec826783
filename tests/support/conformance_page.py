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
    *("Frontier", "Homestead", "TangerineWhistle", "SpuriousDragon", "Byzantium"),
    *("Constantinople", "ConstantinopleFix", "Istanbul", "Berlin", "London", "Paris", "Shanghai"),
    *("Cancun", "Prague", "Osaka", "BPO1", "BPO2"),
)
CHAIN = "ethereum/execution-apis @ 033ca6e6, chain.rlp"


def load(name: str) -> Any:
    return json.loads((VECTORS / name).read_text())


def render() -> str:
    sections = (_state_tests(), _chain(), _evm(), _execution_apis(), _web3())
    return "\n".join([HEAD, *(line for section in sections for line in section), ""])


def _state_tests() -> list[str]:
    score = load("state-tests-score.json")
    suites: dict[str, dict[tuple[str, str], tuple[int, int]]] = defaultdict(dict)
    for row in score["rows"]:
        if row["suite"] == CHAIN:
            continue
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


def _chain() -> list[str]:
    counts: dict[tuple[str, str], tuple[int, int]] = {
        (row["fork"], row["storage"]): (row["cases"], row["failures"])
        for row in load("state-tests-score.json")["rows"]
        if row["suite"] == CHAIN
    }
    forks = [fork for fork in FORKS if (fork, "plain") in counts]
    total = [sum(counts[fork, "plain"][0] for fork in forks)]
    total += [sum(counts[fork, how][1] for fork in forks) for how in ("plain", "encrypted")]
    return [
        "",
        "## A chain through every fork",
        "",
        "The blocks of `genesis.json` and `chain.rlp` of ethereum/execution-apis @ 033ca6e6 run",
        "one after the other on the same machine and state, with the system's calls,",
        "withdrawals and rewards. Of every header the roots of state, transactions, receipts",
        "and withdrawals, the hash of requests, the bloom, gas, blob gas, base fee, ommers and",
        "the parent's hash must come out; proof of work is not looked at. Each root changed by",
        "a bit must be refused. It runs in every `make rust`.",
        "",
        "| fork | blocks | failures in the clear | failures encrypted |",
        "|---|---|---|---|",
        *(
            f"| {fork} | {counts[fork, 'plain'][0]} | {counts[fork, 'plain'][1]} "
            f"| {counts[fork, 'encrypted'][1]} |"
            for fork in forks
        ),
        f"| all | **{total[0]}** | **{total[1]}** | **{total[2]}** |",
        *_recorded_files(),
    ]


def _recorded_files() -> list[str]:
    files = load("execution-apis-files.json")["files"]
    total = [sum(counts[which] for counts in files.values()) for which in ("exact", "form")]
    return [
        "",
        "A gateway serves this chain (`qanat chain serve`, [imported_chain.md][served]), and",
        "answers every request/response file beside it as recorded, in the order of their",
        "names: results to the byte, errors with code and words. Of files that the archive marks",
        "`speconly` the form counts, as it says. There are no exceptions",
        "(`tests/api/gateway/test_gateway_imported.py`).",
        "",
        "| method | files, answered exactly | files of which the form counts |",
        "|---|---|---|",
        *(f"| `{name}` | {one['exact']} | {one['form']} |" for name, one in files.items()),
        f"| all | **{total[0]}** | **{total[1]}** |",
        "",
        "[served]: imported_chain.md",
        *_simulations(),
    ]


def _simulations() -> list[str]:
    listed = load("simulation-deviations.json")["deviations"]
    files = load("execution-apis-files.json")["files"]["eth_simulateV1"]["exact"]
    differing = sum(len(one["files"]) for one in listed)
    return [
        "",
        "The files of `eth_simulateV1` are put to a public ParaTime too, which stands where that",
        "chain stands, with its genesis. Roots and hashes are a ParaTime's own; the code of a",
        "refusal counts, and of each call status, output, gas, logs and the code of its error. Of",
        f"{files} files {files - differing} are answered as by go-ethereum, the others are here",
        "(`tests/api/gateway/test_gateway_simulations.py`).",
        "",
        "| files | what happens instead | why |",
        "|---|---|---|",
        *(f"| {_names(one['files'])} | {one['instead']} | {one['reason']} |" for one in listed),
    ]


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


def _web3() -> list[str]:
    listed = load("web3-deviations.json")
    differs = sum(one["cases"] for one in listed["deviations"])
    return [
        "",
        "## web3.py's own tests",
        "",
        "The classes of `web3._utils.module_testing` run against a gateway of a public ParaTime,",
        f"profile `dev` (`tests/e2e/test_web3_modules.py`): of {listed['tests']} tests,",
        f"{listed['tests'] - differs} pass as they are. In the place of the others stand tests",
        "that assert what happens instead:",
        "",
        "| tests | what happens instead | why |",
        "|---|---|---|",
        *(
            f"| {_names(one['tests'])} | {one['instead']} | {one['reason']} |"
            for one in listed["deviations"]
        ),
    ]


def _names(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    PAGE.write_text(render())
