"""Attested apps on workers: two replicas with the same keys, which survive kills; and the end."""

import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cbor2
import httpx
import pytest
from eth_account import Account
from web3 import Web3
from web3.exceptions import ContractCustomError

from qanat.cpu import PlatformFile
from qanat.layout import DataLayout
from qanat.network import NodePlan, load_network, plan_nodes
from qanat.rofl.bundle import enclave_identity, pack
from qanat.rofl.secrets import seal_secret
from services.worker.rules.bundle import AppManifest, encode_bundle
from shared.kit.dev_controls import bearer
from shared.kit.identity import load_genesis
from shared.rules.app_ids import encode_app_id
from shared.tee.quote import TdReport
from shared.tee.quote_verification import authenticate_quote
from shared.types.app_secrets import encode_envelope
from shared.types.attestation import Collateral, EnclaveIdentity
from tests.e2e.test_rofl_commands import Commands
from tests.e2e.test_sdk_transactions import query, send, sign
from tests.support.attested_apps import policy
from tests.support.networks import FIRST_KEY, ROOT, ProcessNetwork, port_base, running, wait_for

pytestmark = pytest.mark.long

EXAMPLE = ROOT / "examples" / "rofl_oracle"
WORKERS = ("worker-0", "worker-1")
PORT_BASE, APPD_PORT = port_base(21545), 9000
APPD_OF_SECOND = APPD_PORT + PORT_BASE - 8545 + 16
MANIFEST = AppManifest("oracle", "0.1.0")
NOT_THE_APP = "0x6890282f"
"""Selector of `RoflOriginNotAuthorizedForApp()`."""


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessNetwork]:
    folder = tmp_path_factory.mktemp("workers")
    text = (ROOT / "networks" / "workers.toml").read_text()
    file = folder / "workers.toml"
    both = f'nodes = ["worker-0", "worker-1"]\nappd_port = {APPD_PORT}'
    file.write_text(text.replace('nodes = ["worker-0"]', both))
    network = ProcessNetwork(folder / "data", PORT_BASE, file)
    with running(network):
        yield network


class Worker:
    """Who operates one worker."""

    def __init__(self, network: ProcessNetwork, name: str) -> None:
        self.network, self.name = network, name
        plans = plan_nodes(load_network(network.network_file), network.http_port)
        self.plan: NodePlan = next(plan for plan in plans if plan.name == name)
        token = DataLayout(network.data).dev_token.read_text().strip()
        self.headers = bearer(token) | {"content-type": "application/cbor"}

    def ask(self, method: str, **body: Any) -> Any:
        url = f"http://127.0.0.1:{self.plan.port}/v1/worker/{method}"
        content = cbor2.dumps(body, canonical=True)
        answer = httpx.post(url, content=content, headers=self.headers, timeout=30)
        assert answer.status_code == 200, answer.text
        return cbor2.loads(answer.content)

    def instance(self, app: bytes) -> dict[str, Any]:
        found = self.ask("fetch_status")["instances"]
        return next((one for one in found if one["app_id"] == app), {})

    def until_running(self, app: bytes, other_than: bytes = b"") -> dict[str, Any]:
        found: dict[str, Any] = {}

        def runs() -> bool:
            try:
                found.update(self.instance(app))
            except (httpx.TransportError, AssertionError):
                return False
            is_new = found.get("rak") != other_than
            return is_new and found["state"] == "running" and "pid" in (found.get("app") or {})

        wait_for(runs, 60, f"the app runs on {self.name}")
        return found

    def until_says(self, app: bytes, word: str) -> str:
        wait_for(lambda: word in self.logs(app), 60, f"the app on {self.name} says {word!r}")
        return self.logs(app)

    def logs(self, app: bytes) -> str:
        try:
            return bytes(self.ask("fetch_logs", app_id=app)).decode()
        except (httpx.TransportError, AssertionError):
            return ""


QUOTES = """
import time
from dstack_sdk import DstackClient

client = DstackClient()
client.emit_event("stage", "one")
print("app", client.info().app_id)
print("key", client.get_key("path").key)
print("quote", client.get_quote(b"said by the app").quote)
while True:
    time.sleep(60)
"""


def test_an_app_in_the_dialect_of_dstack_quotes_itself(workers: ProcessNetwork) -> None:
    bundle = encode_bundle(AppManifest("quotes", "1"), {"main.py": QUOTES.encode()})
    identity, app = make_app(workers, bundle)
    worker = Worker(workers, "worker-1")
    worker.ask("deploy", app_id=app, bundle=bundle)
    text = worker.until_says(app, "quote ")
    told = dict(line.split() for line in text.splitlines())
    assert told["app"] == app[1:].hex()
    reached = httpx.get(f"http://127.0.0.1:{APPD_OF_SECOND}/rofl/v1/app/id")
    assert reached.text == encode_app_id(app)
    parameters = load_genesis(DataLayout(workers.data).genesis).registry
    genuine = authenticate_quote(
        bytes.fromhex(told["quote"]),
        worker_collateral(workers),
        root_ca=parameters.tee_root_ca,
        now_s=int(time.time()),
    )
    report = genuine.report
    assert isinstance(report, TdReport)
    assert report.report_data.rstrip(b"\0") == b"said by the app"
    # The event is in the fourth register, so this is the domain as it is by now, not at its start.
    assert report.registers[3] != bytes(48)
    assert replace(report, registers=(bytes(48),) * 4).identity == identity

    # A rebuilt app is loaded in its place; its old policy does not know it.
    rebuilt = encode_bundle(AppManifest("quotes", "2"), {"main.py": QUOTES.encode()})
    worker.ask("deploy", app_id=app, bundle=rebuilt)
    wait_for(
        lambda: "unknown enclave" in worker.instance(app)["reason"].lower(), 60, "it is refused"
    )
    worker.ask("deploy", app_id=app, bundle=bundle)
    worker.until_running(app)
    assert worker.ask("stop", app_id=app)["state"] == "stopped"
    assert "app" not in worker.instance(app)
    worker.ask("start", app_id=app)
    worker.until_running(app)
    worker.ask("remove", app_id=app)


def test_what_is_stopped_while_its_enclave_starts_ends(workers: ProcessNetwork) -> None:
    bundle = encode_bundle(AppManifest("quotes", "1"), {"main.py": QUOTES.encode()})
    _, app = make_app(workers, bundle)
    worker = Worker(workers, "worker-0")
    for pause_s in (0.0, 0.05, 0.2):
        worker.ask("deploy", app_id=app, bundle=bundle)
        time.sleep(pause_s)
        assert worker.ask("stop", app_id=app)["state"] == "stopped"
        worker.ask("start", app_id=app)
        time.sleep(pause_s)
        worker.ask("remove", app_id=app)
        assert worker.instance(app) == {}
    worker.ask("deploy", app_id=app, bundle=bundle)
    worker.until_running(app)
    worker.ask("remove", app_id=app)


def test_nobody_without_the_token_deploys(workers: ProcessNetwork) -> None:
    worker = Worker(workers, "worker-0")
    for headers in ({}, {"authorization": "Bearer 00"}, worker.headers | {"origin": "http://x"}):
        for method in ("deploy", "stop", "start", "remove", "fetch_logs"):
            answer = httpx.post(
                f"http://127.0.0.1:{worker.plan.port}/v1/worker/{method}",
                content=cbor2.dumps({"app_id": bytes(21)}),
                headers={"content-type": "application/cbor"} | headers,
            )
            assert answer.status_code in (401, 403)
    worker.headers["content-type"] = "application/json"
    bad = {"app_id": "0x" + "00" * 21, "bundle": "0x00"}
    answer = httpx.post(
        f"http://127.0.0.1:{worker.plan.port}/v1/worker/deploy", json=bad, headers=worker.headers
    )
    assert (answer.status_code, answer.json()["error"]["module"]) == (400, "bundle")


def worker_collateral(network: ProcessNetwork) -> Collateral:
    raw = DataLayout(network.data).platform("worker-1").read_bytes()
    return PlatformFile.from_bytes(raw).collateral


def make_app(network: ProcessNetwork, bundle: bytes) -> tuple[EnclaveIdentity, bytes]:
    paratime = load_network(network.network_file).paratime[0]
    genesis = load_genesis(DataLayout(network.data).genesis)
    identity = enclave_identity(bundle, genesis, bytes.fromhex(paratime.id))
    body = {"policy": worker_policy(identity), "scheme": 1, "metadata": {}}
    return identity, execute(network, "rofl.Create", body)


def worker_policy(identity: EnclaveIdentity) -> dict[str, Any]:
    pcs = {"tcb_validity_period": 36_500, "min_tcb_evaluation_data_number": 0, "tdx": {}}
    return policy(
        quotes={"pcs": pcs},
        enclaves=[{"mr_enclave": identity.mr_enclave, "mr_signer": identity.mr_signer}],
        endorsements=[{"role_observer": {}}],
    )


def test_an_app_runs_on_two_workers_survives_kills_and_ends(workers: ProcessNetwork) -> None:
    bundle = pack(EXAMPLE / "app", MANIFEST)
    layout = DataLayout(workers.data)
    identity, app = make_app(workers, bundle)
    oracle = deploy_oracle(workers, app)
    made = query(workers, "rofl.App", {"id": app})
    sealed = encode_envelope(seal_secret("ORACLE", oracle.address.encode(), made["sek"]))
    execute(
        workers,
        "rofl.Update",
        {"id": app, "policy": worker_policy(identity), "admin": made["admin"], "metadata": {}}
        | {"secrets": {"ORACLE": sealed}},
    )
    operators = [Worker(workers, name) for name in WORKERS]
    for one in operators:
        one.ask("deploy", app_id=app, bundle=bundle)
    started = [one.until_running(app) for one in operators]
    assert len({one["rak"] for one in started}) == 2
    assert {one["enclave"]["mr_enclave"] for one in started} == {identity.mr_enclave}

    # Each replica has the same key, and the contract takes what both report.
    told = [one.until_says(app, "reported") for one in operators]
    assert all("{'ok': b''}" in text for text in told), told
    assert len({key_of(text) for text in told}) == 1
    assert oracle.functions.reports().call() >= 2
    with pytest.raises(ContractCustomError, match=NOT_THE_APP):
        oracle.functions.report(1).call({"from": Account.from_key(FIRST_KEY).address})
    registered = query(workers, "rofl.AppInstances", {"id": app})
    assert {one["rak"] for one in registered} >= {one["rak"] for one in started}

    survive_kills(workers, operators[0], app, started[0], told[0])

    # The chain forgets it, and the worker gets no keys for it again.
    execute(workers, "rofl.Remove", {"id": app})
    kill(workers, "worker-0", "enclave")
    wait_for(
        lambda: (
            operators[0].instance(app).get("state") == "registering"
            and "unknown" in operators[0].instance(app)["reason"].lower()
        ),
        60,
        "the removed app is refused",
    )
    assert operators[0].instance(app).get("app") is None
    for one in operators:
        one.ask("remove", app_id=app)
        assert one.ask("fetch_status")["instances"] == []
    kept = [layout.enclave(name, app.hex()) for name in WORKERS]
    wait_for(lambda: not any(path.exists() for path in kept), 60, "what the app kept is gone")


def survive_kills(
    network: ProcessNetwork, worker: Worker, app: bytes, started: dict[str, Any], told: str
) -> None:
    os.kill(started["app"]["pid"], signal.SIGKILL)
    wait_for(
        lambda: (worker.instance(app).get("app") or {}).get("restarts") == 1, 60, "it is restarted"
    )
    kill(network, worker.name, "enclave")
    second = worker.until_running(app, other_than=started["rak"])
    assert key_of(worker.until_says(app, "key ")) == key_of(told)
    kill(network, worker.name, "host")
    worker.until_running(app, other_than=second["rak"])
    assert key_of(worker.until_says(app, "key ")) == key_of(told)


def kill(network: ProcessNetwork, name: str, part: str) -> None:
    # As `ProcessNetwork.kill`, without a second for a command.
    listed = json.loads((network.data / "launcher.json").read_text())["processes"]
    found = next(one for one in listed if (one["name"], one["part"]) == (name, part))
    os.kill(found["pid"], signal.SIGKILL)


def key_of(text: str) -> str:
    return next(line for line in text.splitlines() if line.startswith("key "))


def execute(network: ProcessNetwork, method: str, body: Any) -> Any:
    done = send(network, sign(network, method, body))
    assert done["status"] == "0x1", done
    return cbor2.loads(bytes.fromhex(done["result"][2:]))["ok"]


def deploy_oracle(network: ProcessNetwork, app: bytes) -> Any:
    raw = json.loads((EXAMPLE / "artifacts" / "Oracle.json").read_text())
    web3 = Web3(Web3.HTTPProvider(network.url))
    account = Account.from_key(FIRST_KEY)
    contract = web3.eth.contract(abi=raw["abi"], bytecode=raw["bytecode"])
    unsigned = contract.constructor(app).build_transaction(
        {"from": account.address, "nonce": web3.eth.get_transaction_count(account.address)}
        | {"gasPrice": web3.eth.gas_price}
    )
    hash_ = web3.eth.send_raw_transaction(account.sign_transaction(unsigned).raw_transaction)
    address = web3.eth.wait_for_transaction_receipt(hash_)["contractAddress"]
    return web3.eth.contract(address=address, abi=raw["abi"])


def test_the_commands_build_deploy_and_reload_an_app(
    workers: ProcessNetwork, tmp_path: Path
) -> None:
    folder = tmp_path / "app"
    app = Commands(workers, folder)
    here = ("--data", str(workers.data), "--network", str(workers.network_file))
    Commands(workers, tmp_path).do("init", "app")
    app.json("create")
    built = app.json("build", *here)
    again = app.json("build", *here)
    assert again == built | {"is_new": False}
    assert "qanat rofl update" in app.refused("deploy", *here)
    app.do("secret", "set", "GREETING", "-", given="hello")
    app.json("update")
    app.json("build", "--verify", *here)
    running = app.json("deploy", *here)
    assert [(one["worker"], one["state"]) for one in running] == [(n, "running") for n in WORKERS]
    assert len(app.json("show")["instances"]) == 2
    wait_for(lambda: app.do("logs", *here).count("32 bytes") == 2, 60, "both programs derive")

    main = folder / "main.py"
    with app.running("deploy", "--watch", "--worker", "worker-0", *here) as watching:
        wait_for(lambda: "worker-0: runs" in watching.told(), 60, "it is deployed, and watched")
        greeting = '    print(os.environ["GREETING"], "again", flush=True)\n'
        main.write_text(main.read_text().replace("    with httpx", greeting + "    with httpx"))
        wait_for(lambda: "the new version runs" in watching.told(), 60, "it is deployed anew")
        wait_for(
            lambda: "hello again" in app.do("logs", "--worker", "worker-0", *here), 60, "it greets"
        )
        main.write_text("import")
        (folder / "a name with spaces").touch()
        wait_for(lambda: "is none that a worker writes" in watching.told(), 60, "it is told")
    states = {one["worker"]: one["version"] for one in app.json("instances", *here)}
    assert set(states) == set(WORKERS)
    assert "no worker 'worker-9'" in app.refused("stop", "--worker", "worker-9", *here)
    app.do("stop", *here)
    assert {one["state"] for one in app.json("instances", *here)} == {"stopped"}
    app.do("undeploy", *here)
    assert app.json("instances", *here) == []
    app.json("remove", "--yes")
