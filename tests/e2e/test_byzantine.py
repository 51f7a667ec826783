"""A node that misbehaves is punished to the token, and the chain goes on with the truth."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cbor2
import httpx
import pytest
from web3 import Web3

from shared.errors import Rejected
from tests.e2e.test_python_clients import connect, deploy, send
from tests.support.networks import ROOT, ProcessNetwork, port_base, running, wait_for
from tests.support.nodes import call_on, compute_status, entities, escrows, slashed

LIAR = "compute-3"
INCORRECT_RESULTS = 50_000_000_000
EQUIVOCATION = 40_000_000_000
COMPUTE = tuple(f"compute-{number}" for number in range(4))
SAPPHIRE = "80" + "00" * 31
SHARES = 1_000_000_000_000


@pytest.fixture(scope="module")
def byzantine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessNetwork]:
    data = tmp_path_factory.mktemp("byzantine") / "data"
    network = ProcessNetwork(data, port_base(20545), ROOT / "networks" / "byzantine.toml")
    with running(network):
        yield network


def refused(network: ProcessNetwork, *arguments: str) -> str:
    """Run a command that must fail; what it says."""
    done = subprocess.run(
        [sys.executable, "-m", "qanat", *arguments, *network.cli_options()],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1, done.stdout
    return " ".join(done.stderr.split())


def changes_since(before: dict[str, int], network: ProcessNetwork) -> dict[str, int]:
    return slashed(before, escrows(network))


def assert_penalty_is_shared(changes: dict[str, int]) -> None:
    """The liar pays the penalty exactly; who voted for the truth gets it in equal shares."""
    assert changes[LIAR] == INCORRECT_RESULTS
    truthful = {name: change for name, change in changes.items() if name != LIAR}
    assert set(truthful.values()) == {-(INCORRECT_RESULTS // len(truthful))}
    assert set(truthful) <= {f"compute-{i}" for i in range(3)}


def assert_one_reporter_is_paid(changes: dict[str, int]) -> None:
    """Whose node proved the offence gets what it cost, and nobody else anything."""
    assert changes.pop("compute-2") == EQUIVOCATION
    assert list(changes.values()) == [-EQUIVOCATION]
    assert set(changes) < {f"compute-{i}" for i in range(4)}


def until_worker(network: ProcessNetwork, name: str) -> None:
    """Move epochs on until a node is elected as a worker."""
    for _ in range(30):
        if compute_status(network, name).is_worker:
            return
        network.cli("epoch", "advance")
    raise AssertionError(f"{name} was never elected")


def lie_until_slashed(network: ProcessNetwork, before: dict[str, int]) -> None:
    """
    Have the liar lie in one round, and in another one where that one was its own.

    A scheduler whose own result is outvoted fails its round, and nobody is punished (as upstream).
    """
    for at in range(8):
        network.cli("node", "lie", LIAR, "--rounds", "1")
        # Not always as many rounds: it might be the scheduler of the first of them each time.
        deadline = time.monotonic() + 6 + at
        while time.monotonic() < deadline:
            if changes_since(before, network):
                return
            time.sleep(0.1)
    raise AssertionError("the liar was never slashed")


def read_consensus(network: ProcessNetwork, path: str) -> Any:
    port = network.process("consensus-0")["ports"][0]
    return httpx.get(f"http://127.0.0.1:{port}/v1/{path}", timeout=30).raise_for_status().json()


def ask_consensus(web3: Web3, figures: Any, method: str, body: Any) -> tuple[int, Any, int]:
    """Have a contract ask; status, answer, and the round, of which every worker said the same."""
    query = method, cbor2.dumps(body, canonical=True)
    receipt = send(web3, figures.functions.ask(*query))
    assert receipt["status"] == 1
    (told,) = figures.events.Answered().process_receipt(receipt)
    status, answer = told["args"]["status"], told["args"]["answer"]
    assert figures.functions.look(*query).call() == [status, answer]
    return status, answer if status else cbor2.loads(answer), receipt["blockNumber"]


def worth(network: ProcessNetwork, web3: Web3, figures: Any, address: bytes) -> int:
    """Tokens for some shares of a pool, as a contract is told; consensus' own figures agree."""
    body = {"address": address, "pool": 1, "shares": SHARES.to_bytes(16, "big")}
    status, answer, _ = ask_consensus(web3, figures, "consensus.SharesToTokens", body)
    pool = read_consensus(network, f"staking/{address.hex()}")["active"]
    assert status == 0
    assert int.from_bytes(answer, "big") == SHARES * pool["balance"] // pool["total_shares"]
    return int.from_bytes(answer, "big")


@pytest.mark.long
def test_honest_enclave_cannot_be_told_to_lie(byzantine: ProcessNetwork) -> None:
    said = refused(byzantine, "node", "lie", "compute-0")
    assert "signs true roots only" in said
    assert "can_lie" in said


@pytest.mark.long
def test_fault_needs_the_token_of_the_data_directory(byzantine: ProcessNetwork) -> None:
    token: Path = byzantine.data / "dev-token"
    right = token.read_text()
    token.write_text("00" * 32)
    try:
        assert "token" in refused(byzantine, "node", "lie", LIAR)
    finally:
        token.write_text(right)


@pytest.mark.long
def test_liar_loses_the_penalty_and_the_truth_is_final(byzantine: ProcessNetwork) -> None:
    byzantine.until_ready()
    web3 = connect(byzantine, encrypted=True)
    vault = deploy(web3, "Vault")
    until_worker(byzantine, LIAR)
    before = escrows(byzantine)
    lie_until_slashed(byzantine, before)
    changes = changes_since(before, byzantine)
    assert_penalty_is_shared(changes)
    # Honest again: it follows, works, and loses nothing more.
    assert send(web3, vault.functions.store(b"true"))["status"] == 1
    assert send(web3, vault.functions.store(b"after"))["status"] == 1
    assert vault.functions.reveal().call() == b"after"
    byzantine.until_level()
    assert changes_since(before, byzantine) == changes


@pytest.mark.long
def test_scheduler_that_signs_two_proposals_loses_the_penalty(byzantine: ProcessNetwork) -> None:
    byzantine.until_ready()
    web3 = connect(byzantine, encrypted=True)
    until_worker(byzantine, "compute-2")
    before = escrows(byzantine)
    figures, owner = deploy(web3, "Figures"), entities(byzantine)["compute-2"]
    price = worth(byzantine, web3, figures, owner)
    byzantine.cli("node", "equivocate", "compute-2", "--rounds", "1")
    wait_for(lambda: changes_since(before, byzantine) != {}, 60, "somebody is slashed")
    assert_one_reporter_is_paid(changes_since(before, byzantine))
    # A slash takes from the pool and no shares: each is worth less, and contracts know it.
    assert worth(byzantine, web3, figures, owner) < price
    vault = deploy(web3, "Vault")
    assert send(web3, vault.functions.store(b"goes on"))["status"] == 1
    byzantine.until_level()
    assert_one_reporter_is_paid(changes_since(before, byzantine))


@pytest.mark.long
def test_contract_reads_stake_and_rounds_as_consensus_holds_them(
    byzantine: ProcessNetwork,
) -> None:
    byzantine.until_ready()
    web3 = connect(byzantine, encrypted=True)
    figures = deploy(web3, "Figures")
    ask = partial(ask_consensus, web3, figures)
    owners = entities(byzantine)
    for name in COMPUTE:
        worth(byzantine, web3, figures, owners[name])
    own, rounds = bytes.fromhex(SAPPHIRE), f"runtimes/{SAPPHIRE}/rounds"
    _, _, asked_in = ask("consensus.RoundRoot", {"runtime_id": own, "round": 1, "kind": 1})
    votes = read_consensus(byzantine, f"{rounds}/{asked_in}")["votes"]
    assert not votes["had_discrepancy"]
    assert (len(votes["good_nodes"]), len(votes["bad_nodes"])) == (3, 0)
    for kind, name in ((1, "state_root"), (2, "io_root")):
        body = {"runtime_id": own, "round": asked_in, "kind": kind}
        expected = read_consensus(byzantine, f"{rounds}/{asked_in}")["header"][name]
        status, answer, _ = ask("consensus.RoundRoot", body)
        assert (status, "0x" + answer.hex()) == (0, expected)
    for body in (
        {"runtime_id": own, "round": 2**40, "kind": 1},
        {"runtime_id": b"\x80" * 32, "round": 1, "kind": 1},
    ):
        assert ask("consensus.RoundRoot", body)[:2] == (0, None)
    strange = {"runtime_id": own, "round": 1, "kind": 9}
    assert ask("consensus.RoundRoot", strange)[:2] == (10, b"core")
    assert ask("consensus.SharesToTokens", {"address": bytes(21)})[:2] == (10, b"core")
    byzantine.until_level()


@pytest.mark.long
def test_revoked_enclave_gets_no_new_keys_until_it_is_allowed_again(
    byzantine: ProcessNetwork,
) -> None:
    byzantine.until_ready()
    web3 = connect(byzantine, encrypted=True)
    summary = json.loads((byzantine.data / "public" / "network.json").read_text())
    revoked = summary["enclaves"]["sapphire!"]
    before = json.loads(byzantine.cli("policy", "show", "--json"))
    assert revoked in [one["mrenclave"] for one in before]
    stakes = escrows(byzantine)
    byzantine.cli("policy", "revoke", "sapphire", revoked)
    shown = json.loads(byzantine.cli("policy", "show", "--json"))
    assert {one["serial"] for one in shown} == {before[0]["serial"] + 1}
    assert shown[0]["mrenclave"] == summary["enclaves"]["sapphire"]
    assert revoked not in [one["mrenclave"] for one in shown]
    # Each contract has a key of its own: this one's are only for who may ask today.
    vault = deploy(web3, "Vault")
    assert send(web3, vault.functions.store(b"not for all"))["status"] == 1
    byzantine.until_level(60)
    to, data = bytes.fromhex(vault.address[2:]), Web3.keccak(text="writes()")[:4]
    assert call_on(byzantine, "compute-0", to, data)[-1] == 1
    # By its own class where that is loaded here, which another test may have done.
    with pytest.raises(Rejected, match=f"{revoked} is not listed"):
        call_on(byzantine, LIAR, to, data)
    assert "says so already" in refused(byzantine, "policy", "revoke", "sapphire", revoked)
    byzantine.cli("policy", "allow", "sapphire", revoked)
    byzantine.until_level(60)
    assert send(web3, vault.functions.store(b"for all"))["status"] == 1
    byzantine.until_level(60)
    assert call_on(byzantine, LIAR, to, data)[-1] == 2
    # What lacks a key votes for nothing, and so for nothing wrong.
    assert changes_since(stakes, byzantine) == {}


@pytest.mark.long
def test_policy_is_changed_only_where_its_signers_are(byzantine: ProcessNetwork) -> None:
    honest = json.loads(byzantine.cli("policy", "show", "--json"))[0]["mrenclave"]
    signers = byzantine.data / "policy-signers.json"
    right = signers.read_text()
    try:
        strangers = json.loads(right) | {"seeds": ["11" * 32, "22" * 32, "33" * 32]}
        signers.write_text(json.dumps(strangers))
        assert "trusted signers" in refused(byzantine, "policy", "revoke", "sapphire", honest)
        signers.unlink()
        assert "no policy signers" in refused(byzantine, "policy", "revoke", "sapphire", honest)
    finally:
        signers.write_text(right)
    assert json.loads(byzantine.cli("policy", "show", "--json"))[0]["mrenclave"] == honest
