"""
A data directory that other code made, so that the code of now goes on with it.

Each enclave whose code changed gets the next version in its configuration, and with it a
measurement of its own; the mock CPU of its node lets it open what the one before sealed. What
consensus has to be told is written down, for `qanat.deployment` to tell it (ADR 0052).
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from qanat import cpu
from qanat.layout import DataLayout
from qanat.network import Network, plan_nodes
from qanat.provision.genesis import liar_of
from qanat.provision.identities import write_private
from qanat.provision.removal import OtherNetwork
from shared.encoding.record import Bytes32, decode_record, encode_record
from shared.tee.config import EnclaveConfig
from shared.types.attestation import EnclaveIdentity
from shared.types.identity import RuntimeId
from shared.types.registry import Version


@dataclass(frozen=True, slots=True)
class Successor:
    """The enclaves that run a runtime from now on: one, and where nodes can lie one that does."""

    runtime_id: RuntimeId
    version: Version
    enclaves: tuple[EnclaveIdentity, ...]


@dataclass(frozen=True, slots=True)
class Succession:
    """What consensus is to be told: content of `DataLayout.succession`."""

    runtimes: tuple[Successor, ...] = ()
    goes_on_as: dict[Bytes32, EnclaveIdentity] = field(default_factory=dict)
    """By the MRENCLAVE of an enclave that is no more: the one that goes on for it."""


@dataclass(frozen=True, slots=True)
class EnclavePlace:
    """Where an enclave of a node is."""

    node: str
    service: str
    runtime: str
    name: str
    """Of the runtime, or `liar_of` it."""


def enclave_places(network: Network) -> Iterator[EnclavePlace]:
    """Every enclave of a network, node by node."""
    for plan in plan_nodes(network):
        for runtime in plan.runtimes if plan.has_enclave else ():
            name = liar_of(runtime) if network.is_liar(plan.name, runtime) else runtime
            yield EnclavePlace(plan.name, plan.service, runtime, name)


def measure_again(layout: DataLayout, network: Network) -> dict[str, str]:
    """Measure the enclaves of a network by the code of now, in hex, by name."""
    measured: dict[str, str] = {}
    for place in enclave_places(network):
        if place.name not in measured:
            path = layout.enclave_config(place.node, place.runtime)
            config = path.read_bytes() if path.exists() else b""
            measured[place.name] = cpu.measure_enclave(place.service, config).mr_enclave.hex()
    return measured


def load_succession(layout: DataLayout) -> Succession:
    """Read what consensus is still to be told; mostly nothing."""
    if not layout.succession.exists():
        return Succession()
    return decode_record(Succession, layout.succession.read_bytes())


def take_over(layout: DataLayout, network: Network) -> bool:
    """
    Have enclaves of the code of now go on for those of the directory, where they differ.

    Nothing may run there. Many files are changed: where this fails, the directory is of no use.

    Returns
    -------
    is_other_code : `bool`

    Raises
    ------
    OtherNetwork
        The network file has other runtimes than the directory.
    """
    path = layout.public / "network.json"
    summary = json.loads(path.read_text())
    before, measured = summary["enclaves"], measure_again(layout, network)
    if before.keys() != measured.keys():
        raise OtherNetwork(f"{layout.root} holds other runtimes than its network file has")
    changed = {
        place.runtime
        for place in enclave_places(network)
        if before[place.name] != measured[place.name]
    }
    if not changed:
        return False
    places = [place for place in enclave_places(network) if place.runtime in changed]
    configs = {place.name: _raised(layout, place) for place in places}
    identities = {
        place.name: cpu.measure_enclave(place.service, encode_record(configs[place.name]))
        for place in places
    }
    old = {name: bytes.fromhex(before[name]) for name in configs}
    for place in places:
        layout.enclave_config(place.node, place.runtime).write_bytes(
            encode_record(configs[place.name])
        )
        _let_open(layout, place, old[place.name], identities[place.name])
    after = _extended(load_succession(layout), configs, old, identities)
    write_private(layout.succession, encode_record(after))
    summary["enclaves"] |= {name: one.mr_enclave.hex() for name, one in identities.items()}
    path.write_text(json.dumps(summary, indent=1) + "\n")
    return True


def _raised(layout: DataLayout, place: EnclavePlace) -> EnclaveConfig:
    path = layout.enclave_config(place.node, place.runtime)
    config = decode_record(EnclaveConfig, path.read_bytes())
    return replace(config, version=replace(config.version, patch=config.version.patch + 1))


def _let_open(
    layout: DataLayout, place: EnclavePlace, before: bytes, after: EnclaveIdentity
) -> None:
    path = layout.platform(place.node)
    platform = cpu.PlatformFile.from_bytes(path.read_bytes())
    platform = platform.with_successors({before: after.mr_enclave})
    write_private(path, platform.to_bytes())


def _extended(
    pending: Succession,
    configs: Mapping[str, EnclaveConfig],
    before: Mapping[str, bytes],
    identities: Mapping[str, EnclaveIdentity],
) -> Succession:
    """Add a succession to one that consensus may not know of yet, or knows of in part."""
    now = {before[name]: identity for name, identity in identities.items()}
    earlier = {old: now.get(one.mr_enclave, one) for old, one in pending.goes_on_as.items()}
    successors = {one.runtime_id: one for one in pending.runtimes}
    # Sorted: the honest one has its runtime's name, and the one that lies that name and more.
    for name in sorted(configs, reverse=True):
        id_, version = configs[name].runtime_id, configs[name].version
        known = successors.get(id_)
        listed = known.enclaves if known is not None and known.version == version else ()
        successors[id_] = Successor(id_, version, (identities[name], *listed))
    return Succession(tuple(successors.values()), earlier | now)
