"""The `curl` examples of docs/http.md name methods that exist, and ports that nodes have."""

import json
import re

from qanat.network import load_network, plan_nodes
from shared.api.compute import ComputeApi, ComputePeerApi
from shared.api.consensus import ConsensusApi
from shared.api.keymanager import KeyManagerApi
from shared.encoding import cbor
from shared.encoding.contract import find_method, methods_of
from shared.kit.wire_json import load_json
from tests.support.metrics_page import ROOT

CONTRACTS = {
    "consensus": (ConsensusApi,),
    "compute": (ComputeApi, ComputePeerApi),
    "keymanager": (KeyManagerApi,),
}


def test_examples_call_methods_that_exist_with_parameters_that_they_have() -> None:
    text = (ROOT / "docs" / "http.md").read_text().replace("\\\n", " ")
    plans = {plan.port: plan for plan in plan_nodes(load_network(ROOT / "networks/default.toml"))}
    calls = re.findall(r"localhost:(\d+)/v1/(consensus|keymanager|compute)/(\w+)([^\n]*)", text)
    assert len(calls) >= 5
    for port, service, name, rest in calls:
        assert plans[int(port)].service == service
        body = re.search(r"(?:-d )?'([^']*)'", rest)
        arguments = load_json(body.group(1).encode()) if body else {}
        contract = next(one for one in CONTRACTS[service] if name in methods_of(one))
        find_method(contract, name).decode_arguments(cbor.encode_loosely(arguments))
        if body:
            json.loads(body.group(1))
