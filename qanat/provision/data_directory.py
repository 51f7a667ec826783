"""Writes the data directory of a network, once; a second start finds it and resumes."""

import json
import shutil
import time
from pathlib import Path

from qanat import cpu
from qanat.layout import DataLayout
from qanat.network import ENCLAVE_SERVICES, Network, plan_nodes
from qanat.provision.genesis import POLICY_SIGNERS, build_enclave_configs, build_genesis
from qanat.provision.identities import Identity, create_identity, save_identity, write_private
from shared.crypto.entropy import Entropy, SeededEntropy, SystemEntropy
from shared.crypto.hashes import kmac256, sha256
from shared.crypto.signing import Signer
from shared.encoding.record import encode_record
from shared.errors import Rejected
from shared.types.genesis import GenesisValidator

REPLAY_GENESIS_TIME_NS = 1_750_000_000_000_000_000
"""Genesis time of a network made from a seed [ns]: the same on every run."""


class OtherNetwork(Rejected, module="network", code=3):
    """The data directory holds a network that was made from something else."""


def is_provisioned(layout: DataLayout) -> bool:
    """Say whether the directory holds a whole network: genesis is written last."""
    return layout.genesis.exists()


def provision(
    layout: DataLayout, network: Network, balances: dict[str, int], *, seed: bytes | None = None
) -> bool:
    """
    Make the network's keys, mock hardware and genesis, unless they are there.

    Parameters
    ----------
    balances : `dict`
        Ethereum address to whole tokens at genesis.
    seed : `bytes`, optional
        Makes every key repeatable; None draws them from the system.

    Returns
    -------
    is_new : `bool`
        False where the directory already held the network.

    Raises
    ------
    OtherNetwork
        The directory holds a network of another name, or one whose enclaves were measured from
        other code.
    """
    if is_provisioned(layout):
        _check_is_same(layout, network)
        return False
    entropy: Entropy = SystemEntropy() if seed is None else SeededEntropy(sha256(seed))
    time_ns = time.time_ns() if seed is None else REPLAY_GENESIS_TIME_NS
    names = {plan.name: plan.service for plan in plan_nodes(network) if plan.service != "gateway"}
    dev_seed = entropy.draw("dev control").hex() if network.dev_controls else None
    identities = {
        name: create_identity(entropy, name, dev_seed if service == "consensus" else None)
        for name, service in names.items()
    }
    signers = [Signer.generate(entropy, "policy signer") for _ in range(POLICY_SIGNERS)]
    validators = (GenesisValidator(identities["consensus-0"].consensus.public_key, 100),)
    pki = cpu.create_network_pki(entropy, time_ns)
    configs = build_enclave_configs(network, validators, pki.root_ca, signers)
    raw_configs = {
        "keymanager": encode_record(configs.keymanager),
        "compute": encode_record(configs.compute),
    }
    genesis = build_genesis(
        network,
        time_ns=time_ns,
        identities=identities,
        validators=validators,
        root_ca=pki.root_ca,
        enclaves={
            service: cpu.measure_enclave(service, raw) for service, raw in raw_configs.items()
        },
        signers=signers,
        balances=balances,
        dev_control_key=None if dev_seed is None else Signer(bytes.fromhex(dev_seed)).public_key,
    )
    for name, service in names.items():
        save_identity(layout.identity(name), identities[name])
        if service in ENCLAVE_SERVICES:
            layout.enclave(name).mkdir(parents=True, exist_ok=True, mode=0o700)
            layout.enclave_config(name).write_bytes(raw_configs[service])
            write_private(layout.platform(name), pki.create_platform(name).to_bytes())
    write_private(layout.mock_authority, pki.to_bytes())
    layout.node("gateway").mkdir(parents=True, exist_ok=True)
    _save_summary(layout, network, identities, seed)
    layout.public.mkdir(parents=True, exist_ok=True)
    unfinished = layout.genesis.with_suffix(".new")
    unfinished.write_bytes(encode_record(genesis))
    unfinished.rename(layout.genesis)
    return True


def _save_summary(
    layout: DataLayout, network: Network, identities: dict[str, Identity], seed: bytes | None
) -> None:
    layout.public.mkdir(parents=True, exist_ok=True)
    summary = {
        "network": network.name,
        "chain_id": network.chain_id,
        "tee": "MOCK",
        "replay_seed": None if seed is None else sha256(seed).hex(),
        "code": code_fingerprint(),
        "nodes": {name: identity.node.public_key.hex() for name, identity in identities.items()},
    }
    (layout.public / "network.json").write_text(json.dumps(summary, indent=1) + "\n")


def _check_is_same(layout: DataLayout, network: Network) -> None:
    summary = json.loads((layout.public / "network.json").read_text())
    where = f"{layout.root} holds network {summary['network']!r}"
    if summary["network"] != network.name:
        raise OtherNetwork(
            f"{where}, not {network.name!r}: choose another --data, or remove it with `qanat down "
            "--wipe`"
        )
    if summary["code"] != code_fingerprint():
        raise OtherNetwork(
            f"{where}, whose enclaves were measured from other code than this: an enclave with "
            "another measurement cannot open what that one sealed. Start afresh with `qanat up "
            "--wipe`, or go back to the code that made it"
        )


def code_fingerprint() -> str:
    """Hash over the code of both enclaves, without their configuration."""
    parts = [cpu.measure_enclave(service, b"").mr_enclave for service in sorted(ENCLAVE_SERVICES)]
    return sha256(b"".join(parts)).hex()


def node_seed(seed: bytes, name: str) -> bytes:
    """Seed of one node's own chance, in a network made from a seed."""
    return kmac256(sha256(seed), name.encode(), b"qanat/entropy: node")


def remove_data(root: Path) -> None:
    """Remove a network's data; refuses a directory that is not one."""
    layout = DataLayout(root)
    if not root.exists():
        return
    if not is_provisioned(layout) and any(root.iterdir()) and not layout.logs.exists():
        raise OtherNetwork(f"{root} is not the data directory of a network; nothing was removed")
    shutil.rmtree(root)
