"""
Tells consensus of enclaves that go on for others, once a network runs (ADR 0052).

As on a chain of others, the owner publishes another deployment of each runtime, and a policy by
which the key managers give keys to it. A deployment begins with an epoch: where there are dev
controls the next one begins at once.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace

from qanat.layout import DataLayout
from qanat.network import NodePlan
from qanat.node_client import NodeClient
from qanat.provision.policy import load_policy_signers, sign_policy
from qanat.provision.succession import Succession, Successor, load_succession
from shared.api.consensus import ConsensusApi, consensus_client
from shared.api.submission import TransactionSender, verify_result
from shared.encoding.record import decode_record
from shared.errors import Rejected, Unavailable
from shared.kit.dev_controls import load_dev_token
from shared.kit.identity import load_identity
from shared.types.attestation import EnclaveIdentity
from shared.types.identity import Epoch
from shared.types.keymanager import EnclavePolicy, Policy
from shared.types.methods import Method
from shared.types.registry import Deployment, RuntimeDescriptor, RuntimeKind

POLL_S = 0.05
REGISTRATION_PATIENCE_S = 10.0
"""How long nodes may take to register with a new deployment [s]; those that are down never do."""
TRIES = 3
"""An epoch may begin between the question which one it is and the answer's use."""


class NotDeployed(Unavailable, module="launcher", code=25):
    """Consensus could not be told of the enclaves of now in time."""


async def deploy_succession(
    layout: DataLayout,
    plans: tuple[NodePlan, ...],
    *,
    timeout_s: float,
    is_running: Callable[[], bool],
) -> None:
    """
    Deploy what goes on for other enclaves, where that is due; returns when it is in force.

    May be repeated: what consensus knows already is left out.

    Raises
    ------
    NotDeployed
        Consensus did not answer, or the epoch did not begin, within the time [s], or the network
        runs no more.
    Rejected
        Consensus refuses it.
    """
    due = load_succession(layout)
    if not due.runtimes:
        return
    (plan,) = (one for one in plans if one.service == "consensus")
    deadline_s = time.monotonic() + timeout_s
    async with NodeClient(plan, dev_token=load_dev_token(layout.root)) as client:
        consensus = consensus_client(client)
        await _until_answered(consensus, deadline_s, is_running)
        owner = load_identity(layout.host(plan.name)).entity
        chain_context = (await consensus.fetch_status()).chain_context
        sender = TransactionSender(consensus, owner, chain_context)
        for successor in due.runtimes:
            await _follow_by_policy(layout, consensus, sender, successor, due)
            await _register(consensus, sender, successor)
        await _begin(layout, consensus, due, deadline_s)
    layout.succession.unlink()


async def _until_answered(
    consensus: ConsensusApi, deadline_s: float, is_running: Callable[[], bool]
) -> None:
    while True:
        try:
            await consensus.fetch_status()
        except Unavailable as error:
            if time.monotonic() > deadline_s or not is_running():
                raise NotDeployed(f"consensus was not told of new enclaves: {error}") from error
            await asyncio.sleep(POLL_S)
        else:
            return


async def _follow_by_policy(
    layout: DataLayout,
    consensus: ConsensusApi,
    sender: TransactionSender,
    successor: Successor,
    due: Succession,
) -> None:
    """Publish the policy of a key manager anew, where it names enclaves that are no more."""
    runtime = await _fetch(consensus, successor)
    manager = runtime.id if runtime.kind is RuntimeKind.KEY_MANAGER else runtime.key_manager
    status = None if manager is None else await consensus.fetch_key_manager(manager)
    if status is None or status.policy is None:
        return
    before = decode_record(Policy, status.policy.untrusted_raw_value)
    enclaves = tuple(_renamed(entry, due.goes_on_as) for entry in before.enclaves)
    if enclaves == before.enclaves:
        return
    after = replace(before, serial=before.serial + 1, enclaves=enclaves)
    signers = load_policy_signers(layout.policy_signers)
    verify_result(await sender.send(Method.UPDATE_POLICY, sign_policy(after, signers)))


def _renamed(entry: EnclavePolicy, goes_on_as: dict[bytes, EnclaveIdentity]) -> EnclavePolicy:
    def of(one: EnclaveIdentity) -> EnclaveIdentity:
        return goes_on_as.get(one.mr_enclave, one)

    return EnclavePolicy(
        enclave=of(entry.enclave),
        may_query={id_: tuple(map(of, listed)) for id_, listed in entry.may_query.items()},
        may_replicate=tuple(map(of, entry.may_replicate)),
    )


async def _register(
    consensus: ConsensusApi, sender: TransactionSender, successor: Successor
) -> None:
    for attempt in range(TRIES):
        runtime = await _fetch(consensus, successor)
        if any(one.version == successor.version for one in runtime.deployments):
            return
        epoch = (await consensus.fetch_status()).epoch
        active = runtime.active_deployment(epoch)
        if active is None:
            raise NotDeployed(f"runtime {runtime.id.hex()} has no deployment in epoch {epoch}")
        tee = replace(active.tee, enclaves=successor.enclaves)
        added = Deployment(successor.version, Epoch(epoch + 1), tee)
        changed = replace(runtime, deployments=(active, added))
        try:
            verify_result(await sender.send(Method.REGISTER_RUNTIME, changed))
        except Rejected:
            if attempt == TRIES - 1:
                raise


async def _begin(
    layout: DataLayout, consensus: ConsensusApi, due: Succession, deadline_s: float
) -> None:
    """Wait for the epoch in which all of it is in force; move epochs on where that can be."""
    can_advance = load_dev_token(layout.root) is not None
    if can_advance:
        await _until_registered(consensus, due)
    for successor in due.runtimes:
        while True:
            epoch = (await consensus.fetch_status()).epoch
            active = (await _fetch(consensus, successor)).active_deployment(epoch)
            if active is not None and active.version == successor.version:
                break
            if can_advance:
                await consensus.advance_epoch(1)
            elif time.monotonic() > deadline_s:
                raise NotDeployed(
                    "the enclaves of this code are deployed with the next epoch, which without dev "
                    "controls begins by itself: repeat it with a longer --timeout"
                )
            else:
                await asyncio.sleep(POLL_S)


async def _until_registered(consensus: ConsensusApi, due: Succession) -> None:
    """
    Wait until who serves a runtime is registered with its successor, or patience ends.

    An epoch that begins without key managers takes over what those of before said they hold.
    """
    versions = {one.runtime_id: one.version for one in due.runtimes}
    deadline_s = time.monotonic() + REGISTRATION_PATIENCE_S
    while time.monotonic() < deadline_s:
        nodes = await consensus.fetch_nodes()
        # Workers observe a runtime without an enclave of it, and name any version.
        served = [one for node in nodes for one in node.runtimes if one.tee is not None]
        if all(versions.get(one.id, one.version) == one.version for one in served):
            return
        await asyncio.sleep(POLL_S)


async def _fetch(consensus: ConsensusApi, successor: Successor) -> RuntimeDescriptor:
    runtime = await consensus.fetch_runtime(successor.runtime_id)
    if runtime is None:
        raise NotDeployed(f"consensus knows no runtime {successor.runtime_id.hex()}")
    return runtime
