"""
The key managers' policy of a running network: what it says, and how its owner changes it.

A change needs two things that only the owner's data directory has: the keys of enough policy
signers, and the key of the entity that owns the key manager. Consensus judges both, and each
key-manager enclave judges the signers again.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from qanat.layout import DataLayout
from qanat.node_client import NodeClient
from qanat.observe import Running
from qanat.provision.policy import load_policy_signers, sign_policy
from shared.api.consensus import ConsensusApi, consensus_client
from shared.api.submission import TransactionSender, verify_result
from shared.encoding.record import decode_record
from shared.errors import Rejected, Unavailable
from shared.kit.identity import load_identity
from shared.types.attestation import EnclaveIdentity
from shared.types.keymanager import EnclavePolicy, KeyManagerStatus, Policy
from shared.types.methods import Method

FOLLOW_TIMEOUT_S = 60.0
"""How long key managers may take to follow a new policy [s]; it is a block and a registration."""
POLL_S = 0.05

Change = Callable[[Policy], Policy]


class NoPolicy(Rejected, module="launcher", code=11):
    """There is no such key manager, or it has no policy."""


class NothingChanges(Rejected, module="launcher", code=12):
    """The policy says so already."""


class NotOwnersDirectory(Rejected, module="launcher", code=13):
    """The data directory lacks the keys that change a policy."""


class PolicyNotFollowed(Unavailable, module="launcher", code=14):
    """The policy is in consensus, and not all key managers follow it yet."""


def fetch_policy(running: Running, key_manager: str) -> Policy:
    """Give the policy in force, or raise `NoPolicy`."""

    async def main() -> Policy:
        async with _consensus(running) as client:
            return _policy_of(await _fetch(running, consensus_client(client), key_manager))

    return asyncio.run(main())


def change_policy(running: Running, layout: DataLayout, key_manager: str, change: Change) -> Policy:
    """
    Publish a changed policy and wait until every member of the committee follows it.

    Raises
    ------
    NoPolicy, NothingChanges, NotOwnersDirectory, PolicyNotFollowed
        See each class.
    NotOwner, StalePolicy, TooFewPolicySigners
        Consensus refuses it.
    """
    (owner,) = running.network.consensus.nodes
    if not (layout.policy_signers.exists() and layout.identity(owner).exists()):
        raise NotOwnersDirectory(
            f"{layout.root} holds no policy signers: a policy is changed where the network was made"
        )
    signers = load_policy_signers(layout.policy_signers)
    entity = load_identity(layout.host(owner)).entity

    async def main() -> Policy:
        async with _consensus(running) as client:
            consensus = consensus_client(client)
            status = await _fetch(running, consensus, key_manager)
            before = _policy_of(status)
            after = change(before)
            if after == before:
                raise NothingChanges("the policy says so already")
            after = replace(after, serial=before.serial + 1)
            chain_context = (await consensus.fetch_status()).chain_context
            sender = TransactionSender(consensus, entity, chain_context)
            verify_result(await sender.send(Method.UPDATE_POLICY, sign_policy(after, signers)))
            await _until_followed(running, consensus, key_manager, len(status.nodes))
            return after

    return asyncio.run(main())


def allow(paratime_id: bytes, enclave: EnclaveIdentity) -> Change:
    """Give an enclave the keys of a ParaTime."""

    def change(entry: EnclavePolicy) -> EnclavePolicy:
        listed = entry.may_query.get(paratime_id, ())
        if enclave in listed:
            return entry
        return replace(entry, may_query=entry.may_query | {paratime_id: (*listed, enclave)})

    return _each(change)


def revoke(paratime_id: bytes, enclave: EnclaveIdentity) -> Change:
    """Give an enclave the keys of a ParaTime no longer."""

    def change(entry: EnclavePolicy) -> EnclavePolicy:
        left = tuple(one for one in entry.may_query.get(paratime_id, ()) if one != enclave)
        return replace(entry, may_query=entry.may_query | {paratime_id: left})

    return _each(change)


def _each(change: Callable[[EnclavePolicy], EnclavePolicy]) -> Change:
    return lambda policy: replace(policy, enclaves=tuple(map(change, policy.enclaves)))


def _consensus(running: Running) -> NodeClient:
    (plan,) = running.plans_of("consensus")
    return NodeClient(plan)


async def _fetch(running: Running, consensus: ConsensusApi, name: str) -> KeyManagerStatus:
    status = await consensus.fetch_key_manager(
        bytes.fromhex(running.network.find_key_manager(name).id)
    )
    if status is None:
        raise NoPolicy(f"consensus knows no key manager {name!r}")
    return status


def _policy_of(status: KeyManagerStatus) -> Policy:
    if status.policy is None:
        raise NoPolicy(f"key manager {status.id.hex()} has no policy")
    return decode_record(Policy, status.policy.untrusted_raw_value)


async def _until_followed(
    running: Running, consensus: ConsensusApi, name: str, members: int
) -> None:
    """Wait until as many nodes follow it as followed the one before: others are no members."""
    followers = 0
    try:
        async with asyncio.timeout(FOLLOW_TIMEOUT_S):
            while followers < members:
                await asyncio.sleep(POLL_S)
                followers = len((await _fetch(running, consensus, name)).nodes)
    except TimeoutError:
        raise PolicyNotFollowed(
            f"{followers} of {members} key managers follow the policy so far"
        ) from None
