"""What must hold in a network file beyond the types of its fields."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from qanat.network.plan import plan_nodes
from qanat.network.records import (
    DEV,
    EVM,
    MAX_BLOCK_TIME_STEP_S,
    PYTHON,
    STRICT,
    KeyManager,
    Network,
    NodeOverride,
    ParaTime,
)
from shared.kit.instance_socket import MAX_INSTANCES

NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
"""Of nodes and runtimes: they become folders, host names, containers and volumes."""
NUMBER = re.compile(r"[0-9]{1,9}")
RESERVED_NAMES = frozenset({"public", "logs", "setup"})
"""Folders of the data directory, and a service of the Compose file, that are no nodes."""
PYTHON_MODULE = re.compile(r"[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)*")
KEY_MANAGER_FLAG = 0x40
"""In the first byte of a runtime id. Source: oasis-core go/common/namespace.go @ f9f1fdc."""
ID_DIGITS = 64
LARGEST_PORT = 65535
ANSWERS = ("mined", "admitted")
PROFILES = (STRICT, DEV)
MIN_KEPT_HEIGHTS = 256
"""As many as consensus answers from memory; fewer would save nothing."""
LOG_LEVELS = ("debug", "info", "warning", "error")


def find_faults(network: Network) -> list[str]:
    """Give every fault of a file, in words for its author; empty when it describes a network."""
    faults = [*_of_the_chain(network), *_of_names(network)]
    for manager in network.key_manager:
        faults += _of_key_manager(manager)
    for paratime in network.paratime:
        faults += _of_paratime(network, paratime)
    faults += _of_workers(network)
    faults += _of_overrides(network)
    # Ports follow from all the rest.
    return faults or list(_of_ports(network))


def _of_the_chain(network: Network) -> Iterator[str]:
    if len(network.consensus.nodes) != 1:
        yield "consensus.nodes must name 1 node: the solo engine has one validator"
    if network.consensus.keep_heights != 0 and network.consensus.keep_heights < MIN_KEPT_HEIGHTS:
        yield f"consensus.keep_heights must be 0, which keeps all, or at least {MIN_KEPT_HEIGHTS}"
    if not network.paratime:
        yield "the file needs a [[paratime]]"
    if network.block_time_step_s > MAX_BLOCK_TIME_STEP_S:
        yield f"block_time_step_s must be at most {MAX_BLOCK_TIME_STEP_S}"
    if network.epoch_interval_s < 1:
        yield "epoch_interval_s must be at least 1"
    if network.base_epoch < 0:
        yield "base_epoch must not be negative"


def _of_names(network: Network) -> Iterator[str]:
    gateways = [paratime.gateway.name for paratime in network.paratime]
    groups = {
        "consensus": network.consensus.nodes,
        **{f"key_manager {one.name}": one.nodes for one in network.key_manager},
        "gateway": tuple(gateways),
        "worker": () if network.worker is None else network.worker.nodes,
    }
    compute = set(network.compute_nodes())
    everybody = [name for names in groups.values() for name in names] + sorted(compute)
    managers, paratimes = network.key_manager, network.paratime
    runtimes = [one.name for one in managers] + [one.name for one in paratimes]
    for name in sorted({network.name, *everybody, *runtimes}):
        if not NAME.fullmatch(name):
            yield f"name {name!r} must be small letters, digits and '-', at most 32"
        if name in RESERVED_NAMES:
            yield f"name {name!r} is reserved"
    for name in _repeated(everybody):
        users = [group for group, names in groups.items() if name in names]
        users += ["paratime"] if name in compute else []
        yield f"node {name!r} stands in several places ({', '.join(users)}): it has one service"
    for name in _repeated(runtimes):
        yield f"runtime name {name!r} is given twice"
    ids = [one.id for one in managers] + [one.id for one in paratimes]
    for id_ in _repeated(map(str.lower, ids)):
        yield f"id {id_} is given twice"


def _of_key_manager(manager: KeyManager) -> Iterator[str]:
    where = f"key_manager {manager.name}"
    if not manager.nodes:
        yield f"{where}: nodes must name at least 1 node"
    if not _is_id(manager.id):
        yield f"{where}: id must be {ID_DIGITS} hex digits"
    elif not int(manager.id[:2], 16) & KEY_MANAGER_FLAG:
        yield f"{where}: id must have the key manager flag, as c0… has"
    if manager.max_ephemeral_secret_age < 1:
        yield f"{where}: max_ephemeral_secret_age must be at least 1"
    if manager.master_secret_rotation_interval < 0:
        yield f"{where}: master_secret_rotation_interval must not be negative"


def _of_paratime(network: Network, paratime: ParaTime) -> Iterator[str]:
    where, count = f"paratime {paratime.name}", len(paratime.nodes)
    for name in _repeated(paratime.nodes):
        yield f"{where}: node {name!r} is named twice"
    if not _is_id(paratime.id):
        yield f"{where}: id must be {ID_DIGITS} hex digits"
    elif int(paratime.id[:2], 16) & KEY_MANAGER_FLAG:
        yield f"{where}: id has the key manager flag; 80… is one of a ParaTime"
    module = paratime.runtime.removeprefix(PYTHON)
    is_python = module != paratime.runtime and PYTHON_MODULE.fullmatch(module)
    if not paratime.is_evm and not is_python:
        yield f"{where}: runtime {paratime.runtime!r} is none of {EVM}, {PYTHON}MODULE"
    yield from _of_secrecy(network, paratime, where)
    if paratime.is_evm and not paratime.evm_chain_id:
        yield f"{where}: an EVM needs an evm_chain_id"
    if not paratime.is_evm and paratime.evm_chain_id is not None:
        yield f"{where}: evm_chain_id is an EVM's only"
    if not paratime.is_evm and paratime.genesis is not None:
        yield f"{where}: a genesis file is an EVM's only"
    wanted = [paratime.gateway.http_port] + [paratime.gateway.ws_port] * paratime.is_evm
    if min(wanted) < 1:
        yield f"{where}: ports of its gateway must be 1 to {LARGEST_PORT}"
    if paratime.gateway.answer not in ANSWERS:
        yield f"{where}: answer of its gateway must be one of {', '.join(ANSWERS)}"
    if paratime.gateway.profile not in PROFILES:
        yield f"{where}: profile of its gateway must be one of {', '.join(PROFILES)}"
    if paratime.nonce_window != "upstream" and not NUMBER.fullmatch(paratime.nonce_window):
        yield f'{where}: nonce_window must be a number as text, or "upstream"'
    if paratime.keep_rounds < 0:
        yield f"{where}: keep_rounds must not be negative"
    committee = paratime.committee
    for field in ("workers", "backup_workers"):
        if not 1 <= getattr(committee, field) <= count:
            yield f"{where}: committee.{field} must be 1 to the number of its nodes ({count})"
    for field in ("round_timeout_ms", "batch_flush_timeout_ms", "propose_batch_timeout_ms"):
        if getattr(committee, field) < 1:
            yield f"{where}: committee.{field} must be at least 1"


def _of_secrecy(network: Network, paratime: ParaTime, where: str) -> Iterator[str]:
    managers = {one.name for one in network.key_manager}
    if paratime.confidential and paratime.key_manager is None:
        yield f"{where}: a confidential ParaTime needs a key_manager"
    if not paratime.confidential and paratime.key_manager is not None:
        yield f"{where}: a key_manager has nothing to keep where confidential = false"
    if paratime.key_manager is not None and paratime.key_manager not in managers:
        yield f"{where}: key_manager {paratime.key_manager!r} is not in the file"


def _of_workers(network: Network) -> Iterator[str]:
    if network.worker is None:
        return
    if not network.worker.nodes:
        yield "worker.nodes must name at least 1 node"
    for field in ("appd_port", "app_port"):
        first_port = getattr(network.worker, field)
        last_port = first_port + MAX_INSTANCES * len(network.worker.nodes) - 1
        if first_port and not 1024 <= first_port <= last_port <= LARGEST_PORT:
            yield f"worker.{field} must be 0, or 1024 and leave {MAX_INSTANCES} ports a worker"
    found = next((one for one in network.paratime if one.name == network.worker.paratime), None)
    if found is None:
        yield f"worker.paratime {network.worker.paratime!r} is not in the file"
    elif not (found.is_evm and found.confidential):
        yield f"worker.paratime {found.name!r} must be a confidential EVM: apps get keys there"


def _of_overrides(network: Network) -> Iterator[str]:
    known = {plan.name for plan in plan_nodes(network)}
    for name in _repeated(one.name for one in network.node):
        yield f"[[node]] {name} is given twice"
    for override in network.node:
        if override.name not in known:
            yield f"[[node]] {override.name}: no node of this name is in the file"
        if override.port is not None and override.port < 1:
            yield f"[[node]] {override.name}: port must be 1 to {LARGEST_PORT}"
        if override.log_level is not None and override.log_level not in LOG_LEVELS:
            yield f"[[node]] {override.name}: log_level must be one of {', '.join(LOG_LEVELS)}"
        yield from _of_liar(network, override)
    gateways = {paratime.gateway.name for paratime in network.paratime}
    for override in network.node:
        if override.port is not None and override.name in gateways:
            yield f"[[node]] {override.name}: ports of a gateway stand in [paratime.gateway]"


def _of_liar(network: Network, override: NodeOverride) -> Iterator[str]:
    where = f"[[node]] {override.name}"
    if override.can_lie and not network.dev_controls:
        yield f"{where}: can_lie needs dev_controls = true"
    served = network.compute_nodes().get(override.name, ())
    for name in override.can_lie:
        if name not in served:
            yield f"{where}: can_lie names {name!r}, a ParaTime that the node does not serve"
        elif ":" in network.find_paratime(name).runtime:
            yield f"{where}: can_lie names {name!r}, whose runtime has no lying form"


def _of_ports(network: Network) -> Iterator[str]:
    users: dict[int, list[str]] = {}
    for plan in plan_nodes(network):
        for port in plan.ports:
            users.setdefault(port, []).append(plan.name)
    for port, names in sorted(users.items()):
        if port > LARGEST_PORT:
            yield f"port {port} of {names[0]} is above {LARGEST_PORT}"
        elif len(names) > 1:
            yield f"port {port} is given to {' and to '.join(names)}"


def _is_id(text: str) -> bool:
    return len(text) == ID_DIGITS and set(text.lower()) <= set("0123456789abcdef")


def _repeated(names: Iterable[str]) -> list[str]:
    return sorted(name for name, count in Counter(names).items() if count > 1)
