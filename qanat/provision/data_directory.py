"""Writes the data directory of a network, once; a second start finds it and resumes."""

import json
import time

from qanat import cpu
from qanat.layout import DataLayout
from qanat.network import WORKER, Network, NodePlan, plan_nodes
from qanat.provision.debug_key import save_debug_key
from qanat.provision.genesis import build_enclave_configs, build_genesis, liar_of
from qanat.provision.identities import (
    Identity,
    create_identity,
    save_identity,
    save_node_key,
    write_private,
)
from qanat.provision.policy import draw_policy_seeds, save_policy_seeds
from qanat.provision.removal import OtherNetwork, is_provisioned
from qanat.provision.succession import measure_again
from qanat.rofl.bundle import worker_config
from services.worker.rules.keys import fee_key
from shared.crypto.entropy import Entropy, SeededEntropy, SystemEntropy
from shared.crypto.hashes import cshake256, kmac256
from shared.crypto.signing import Signer
from shared.encoding.record import encode_record
from shared.types.attestation import EnclaveIdentity
from shared.types.genesis import Genesis, GenesisValidator

WORKER_TOKENS = 10_000
"""What a worker may spend on fees of registrations [whole tokens]."""
FORMAT = 2
"""Of the data directory. 2: an enclave directory for each runtime of a node."""
REPLAY_GENESIS_TIME_NS = 1_750_000_000_000_000_000
"""Genesis time of a network made from a seed [ns]: the same on every run."""


def provision(
    layout: DataLayout,
    network: Network,
    balances: dict[str, int],
    *,
    seed: bytes | None = None,
    test_keys: tuple[str, ...] = (),
) -> bool:
    """
    Make the network's keys, mock hardware and genesis, unless they are there.

    Parameters
    ----------
    balances : `dict`
        Ethereum address to whole tokens at genesis.
    seed : `bytes`, optional
        Makes every key repeatable; None draws them from the system.
    test_keys : `tuple`
        Keys of accounts in hex, which gateways sign with in networks with dev controls.

    Returns
    -------
    is_new : `bool`
        False where the directory already held the network.

    Raises
    ------
    OtherNetwork
        The directory holds a network of another name, one in an older format, or one whose enclaves
        were measured from other code.
    """
    if is_provisioned(layout):
        _check_is_same(layout, network)
        return False
    entropy: Entropy = (
        SystemEntropy() if seed is None else SeededEntropy(_derived(seed, b"network"))
    )
    time_ns = time.time_ns() if seed is None else REPLAY_GENESIS_TIME_NS
    plans = plan_nodes(network)
    dev_seed = entropy.draw("dev control").hex() if network.dev_controls else None
    identities = {
        plan.name: create_identity(
            entropy, plan.name, dev_seed if plan.service == "consensus" else None
        )
        for plan in plans
        if plan.service != "gateway"
    }
    gateways = {
        plan.name: entropy.draw(f"identity {plan.name} node")
        for plan in plans
        if plan.service == "gateway"
    }
    policy_seeds = draw_policy_seeds(entropy)
    signers = [Signer(one) for one in policy_seeds]
    dev_control_key = None if dev_seed is None else Signer(bytes.fromhex(dev_seed)).public_key
    validators = (
        GenesisValidator(identities[network.consensus.nodes[0]].consensus.public_key, 100),
    )
    pki = cpu.create_network_pki(entropy, time_ns)
    debug_seed = entropy.draw("debug key") if network.debug_key else None
    debug_key = None if debug_seed is None else Signer(debug_seed).public_key
    measured = build_enclave_configs(
        network, validators, pki.root_ca, signers, debug_key, dev_control_key
    )
    configs = {name: encode_record(config) for name, config in measured.items()}
    managers = {one.name for one in network.key_manager}
    enclaves = {
        name: cpu.measure_enclave("keymanager" if name in managers else "compute", raw)
        for name, raw in configs.items()
    }
    genesis = build_genesis(
        network,
        time_ns=time_ns,
        identities=identities,
        gateways=tuple(Signer(seed).public_key for seed in gateways.values()),
        validators=validators,
        root_ca=pki.root_ca,
        enclaves=enclaves,
        signers=signers,
        balances=balances,
        fee_accounts=_fee_accounts(network, identities),
        dev_control_key=dev_control_key,
        is_replayed=seed is not None,
    )
    for plan in plans:
        if plan.name in identities:
            save_identity(layout.identity(plan.name), identities[plan.name])
        else:
            save_node_key(layout.identity(plan.name), gateways[plan.name])
        if plan.service == WORKER:
            _make_worker(layout, network, plan, genesis)
            platform = pki.create_platform(plan.name, "TDX")
            write_private(layout.platform(plan.name), platform.to_bytes())
        if plan.has_enclave:
            _make_enclaves(layout, network, plan, configs)
            write_private(layout.platform(plan.name), pki.create_platform(plan.name).to_bytes())
        layout.host(plan.name).mkdir(parents=True, exist_ok=True)
    write_private(layout.mock_authority, pki.to_bytes())
    save_policy_seeds(layout.policy_signers, policy_seeds)
    if debug_seed is not None:
        for path in (layout.debug_key, layout.kept_debug_key(network.consensus.nodes[0])):
            save_debug_key(path, debug_seed)
    if network.dev_controls:
        token = _draw_token(entropy)
        for path in (layout.dev_token, *(layout.node_dev_token(plan.name) for plan in plans)):
            write_private(path, token)
        for plan in plans:
            if plan.service == "gateway":
                write_private(layout.unlocked_keys(plan.name), json.dumps(test_keys).encode())
    else:
        # Who operates a worker deploys apps by its token, in every network.
        for plan in plans:
            if plan.service == WORKER:
                write_private(layout.node_dev_token(plan.name), _draw_token(entropy))
    _save_summary(layout, network, identities, enclaves, is_replay=seed is not None)
    layout.public.mkdir(parents=True, exist_ok=True)
    unfinished = layout.genesis.with_suffix(".new")
    unfinished.write_bytes(encode_record(genesis))
    unfinished.rename(layout.genesis)
    return True


def _draw_token(entropy: Entropy) -> bytes:
    return entropy.draw("dev token").hex().encode()


def _fee_accounts(network: Network, identities: dict[str, Identity]) -> dict[str, dict[str, int]]:
    """Give the accounts from which workers pay, by ParaTime: address to whole tokens."""
    if network.worker is None:
        return {}
    keys = (fee_key(bytes.fromhex(identities[name].node_seed)) for name in network.worker.nodes)
    return {network.worker.paratime: {"0x" + key.account.hex(): WORKER_TOKENS for key in keys}}


def _make_enclaves(
    layout: DataLayout, network: Network, plan: NodePlan, configs: dict[str, bytes]
) -> None:
    for runtime in plan.runtimes:
        name = liar_of(runtime) if network.is_liar(plan.name, runtime) else runtime
        layout.enclave(plan.name, runtime).mkdir(parents=True, exist_ok=True, mode=0o700)
        layout.enclave_config(plan.name, runtime).write_bytes(configs[name])


def _make_worker(layout: DataLayout, network: Network, plan: NodePlan, genesis: Genesis) -> None:
    """Write the configuration of all enclaves of a worker's apps."""
    for paratime in plan.runtimes:
        config = worker_config(genesis, bytes.fromhex(network.find_paratime(paratime).id))
        path = layout.enclave_config(plan.name, paratime)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_bytes(encode_record(config))


def _save_summary(
    layout: DataLayout,
    network: Network,
    identities: dict[str, Identity],
    enclaves: dict[str, EnclaveIdentity],
    *,
    is_replay: bool,
) -> None:
    layout.public.mkdir(parents=True, exist_ok=True)
    summary = {
        "format": FORMAT,
        "network": network.name,
        "chain_id": network.chain_id,
        "tee": "MOCK",
        # Nothing that is derived from the seed stands here: every key follows from it.
        "is_replay": is_replay,
        "block_time_step_s": network.block_time_step_s,
        "enclaves": {name: one.mr_enclave.hex() for name, one in enclaves.items()},
        "nodes": {name: identity.node.public_key.hex() for name, identity in identities.items()},
    }
    (layout.public / "network.json").write_text(json.dumps(summary, indent=1) + "\n")


def _check_is_same(layout: DataLayout, network: Network) -> None:
    summary = json.loads((layout.public / "network.json").read_text())
    where = f"{layout.root} holds network {summary['network']!r}"
    found = summary.get("format", 1)
    if found != FORMAT:
        raise OtherNetwork(
            f"{where} in data format {found}; this version reads format {FORMAT} only. Start "
            "afresh with `qanat up --wipe`, or run it with the version that made it"
        )
    if summary["network"] != network.name:
        raise OtherNetwork(
            f"{where}, not {network.name!r}: choose another --data, or remove it with `qanat down "
            "--wipe`"
        )
    workers = () if network.worker is None else network.worker.nodes
    if absent := set(workers) - summary["nodes"].keys():
        raise OtherNetwork(
            f"{where}, which was made without {', '.join(sorted(absent))}: a worker has keys and "
            "funds from the start. Start afresh with `qanat up --wipe`"
        )
    measured = measure_again(layout, network)
    if summary["enclaves"].keys() != measured.keys():
        raise OtherNetwork(
            f"{where} with the runtimes {', '.join(sorted(summary['enclaves']))}, not "
            f"{', '.join(sorted(measured))} as in the file now. Start afresh with `qanat up --wipe`"
        )
    if summary["enclaves"] != measured:
        raise OtherNetwork(
            f"{where}, whose enclaves were measured from other code than this: an enclave with "
            "another measurement cannot open what that one sealed. Carry it over with `qanat dump "
            "FILE` and `qanat load FILE`, start afresh with `qanat up --wipe`, or go back to the "
            "code that made it"
        )


def node_seed(seed: bytes, name: str) -> bytes:
    """Seed of one node's own chance, in a network made from a seed."""
    return kmac256(_derived(seed, b"nodes"), name.encode(), b"qanat/entropy: node")


def _derived(seed: bytes, purpose: bytes) -> bytes:
    """One secret for each purpose from a seed of any length; none leads back to it or to others."""
    return cshake256(seed, b"qanat/provision: seed for " + purpose, 32)
