"""`rofl.yaml`: read as upstream writes it, refused with the place, written back whole."""

import base64
from pathlib import Path

import pytest

from qanat.rofl.manifest import (
    BadManifest,
    Deployment,
    Enclave,
    Manifest,
    NoManifest,
    Policy,
    find_manifest,
    load_manifest,
    save_manifest,
)
from shared.rules.app_ids import app_id_by_name, encode_app_id

IDENTITY, OTHER = (base64.b64encode(bytes([n]) * 64).decode() for n in (1, 2))
APP = encode_app_id(app_id_by_name("a test"))
UPSTREAM = f"""
name: oracle
version: 0.1.0
tee: tdx
kind: container
resources:
  memory: 512
  cpus: 1
  storage:
    kind: disk-persistent
    size: 512
artifacts:
  firmware: https://example.org/ovmf.tdx.fd#db47
  container:
    compose: compose.yaml
deployments:
  testnet:
    default: true
    app_id: {APP}
    network: testnet
    paratime: sapphire
    admin: test:1
    trust_root:
      height: 27
      hash: ab12
    policy:
      quotes:
        pcs:
          tcb_validity_period: 30
          min_tcb_evaluation_data_number: 17
          tdx: {{}}
      enclaves:
        - {IDENTITY}
        - id: {OTHER}
          version: 0.0.9
      endorsements:
        - any: {{}}
        - or:
            - node: {base64.b64encode(bytes(32)).decode()}
            - role_compute: {{}}
      fees: endorsing_node
      max_expiration: 3
    secrets:
      - name: TOKEN
        public_name: shown
        value: AAEC
tooling:
  version: 0.12.0
"""


def load(tmp_path: Path, text: str) -> Manifest:
    path = tmp_path / "rofl.yaml"
    path.write_text(text)
    return load_manifest(path)


def test_a_manifest_of_upstream_is_read_and_written_back_whole(tmp_path: Path) -> None:
    manifest = load(tmp_path, UPSTREAM)
    save_manifest(manifest, tmp_path / "rofl.yaml")
    again = load_manifest(tmp_path / "rofl.yaml")
    assert again == manifest
    kept = again.model_dump(exclude_none=True)
    assert kept["artifacts"]["container"]["compose"] == "compose.yaml"
    assert kept["tooling"] == {"version": "0.12.0"}
    assert kept["deployments"]["testnet"]["trust_root"] == {"height": 27, "hash": "ab12"}
    assert [path.name for path in tmp_path.iterdir()] == ["rofl.yaml"]


def test_a_policy_is_as_the_chain_takes_it(tmp_path: Path) -> None:
    deployment = load(tmp_path, UPSTREAM).deployments["testnet"]
    policy = deployment.policy.on_chain()
    first = {"mr_enclave": b"\1" * 32, "mr_signer": b"\1" * 32}
    assert policy["enclaves"] == [first, {"mr_enclave": b"\2" * 32, "mr_signer": b"\2" * 32}]
    nested = {"or": [{"node": bytes(32)}, {"role_compute": {}}]}
    assert policy["endorsements"] == [{"any": {}}, nested]
    assert (policy["fees"], policy["max_expiration"]) == (2, 3)
    assert policy["quotes"]["pcs"]["tdx"] == {}
    assert deployment.sealed_secrets() == {"shown": b"\0\1\2"}


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("version: 0.1.0", "version: one", "version"),
        ("tee: tdx", "tee: sev", "tee"),
        ("memory: 512", "memory: 8", "resources.memory"),
        (f"app_id: {APP}", "app_id: rofl1qq", "deployments.testnet.app_id"),
        ("network: testnet", "network: ''", "deployments.testnet.network"),
        ("max_expiration: 3", "max_expiration: 25", "max_expiration"),
        ("value: AAEC", "value: AA*C", "secrets.0.value"),
        (f"- {IDENTITY}", "- AAAA", "enclaves.0"),
        ("name: oracle", "name: [", "no YAML"),
        ("name: oracle", "name: !!python/object/apply:os.system [true]", "no YAML"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    assert old in UPSTREAM
    with pytest.raises(BadManifest, match=told):
        load(tmp_path, UPSTREAM.replace(old, new))


@pytest.mark.parametrize("atom", [{}, {"node": "AAAA"}, {"star": {}}, {"any": {}, "or": []}])
def test_no_endorsement_is_told(atom: dict[str, object]) -> None:
    with pytest.raises(BadManifest):
        Policy(endorsements=[atom]).on_chain()


def test_the_newest_identity_takes_the_place_of_the_one_before() -> None:
    policy = Policy(enclaves=[IDENTITY, Enclave(id=OTHER, version="0.0.9")])
    assert not policy.set_newest(IDENTITY)
    newest = base64.b64encode(b"\3" * 64).decode()
    assert policy.set_newest(newest)
    assert policy.identities() == [newest, OTHER]
    assert not policy.set_newest(newest)


def test_the_deployment_is_the_one_named_the_default_or_the_only_one() -> None:
    one = Deployment(network="n", paratime="p")
    manifest = Manifest(name="a", version="0.1.0", deployments={"main": one})
    assert manifest.deployment_name(None) == "main"
    manifest.deployments["test"] = one.model_copy(update={"default": True})
    assert manifest.deployment_name(None) == "test"
    assert manifest.deployment_name("main") == "main"
    with pytest.raises(BadManifest, match="no deployment 'other'"):
        manifest.deployment_name("other")
    manifest.deployments["main"] = one.model_copy(update={"default": True})
    with pytest.raises(BadManifest, match="several"):
        manifest.deployment_name(None)
    with pytest.raises(BadManifest, match="qanat rofl create"):
        Manifest(name="a", version="0.1.0").deployment_name(None)


def test_a_directory_without_a_manifest_is_told(tmp_path: Path) -> None:
    with pytest.raises(NoManifest, match="qanat rofl init"):
        find_manifest(tmp_path)
