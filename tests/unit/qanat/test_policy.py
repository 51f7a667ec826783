"""What a change of the policy makes of it, and that it stays signed as enclaves ask."""

from dataclasses import replace

import pytest

from qanat.policy import allow, revoke
from qanat.provision.policy import POLICY_THRESHOLD, draw_policy_seeds, sign_policy
from shared.crypto.entropy import SeededEntropy
from shared.crypto.signing import Signer
from shared.rules.key_policy import PolicyRolledBack, accept_policy
from shared.types.attestation import EnclaveIdentity
from shared.types.keymanager import EnclavePolicy, Policy

MANAGER, FIRST, SECOND = b"\xc0" + bytes(31), b"\x80" + bytes(31), b"\x80" + bytes(30) + b"\x01"
OWN, OLD, NEW = (EnclaveIdentity(bytes([n]) * 32, b"\x09" * 32) for n in (1, 2, 3))
POLICY = Policy(4, MANAGER, (EnclavePolicy(OWN, {FIRST: (OLD,), SECOND: (OLD,)}),))


def listed(policy: Policy, paratime: bytes) -> tuple[EnclaveIdentity, ...]:
    (entry,) = policy.enclaves
    return entry.may_query[paratime]


def test_enclave_is_allowed_for_one_paratime_beside_those_before() -> None:
    policy = allow(FIRST, NEW)(POLICY)
    assert listed(policy, FIRST) == (OLD, NEW)
    assert listed(policy, SECOND) == (OLD,)
    assert allow(FIRST, NEW)(policy) == policy


def test_enclave_is_revoked_for_one_paratime_only() -> None:
    policy = revoke(FIRST, OLD)(POLICY)
    assert listed(policy, FIRST) == ()
    assert listed(policy, SECOND) == (OLD,)
    assert revoke(FIRST, NEW)(POLICY) == POLICY


def test_same_code_by_another_signer_is_another_enclave() -> None:
    assert revoke(FIRST, replace(OLD, mr_signer=bytes(32)))(POLICY) == POLICY


def test_enclaves_follow_a_change_and_not_the_way_back() -> None:
    signers = [Signer(seed) for seed in draw_policy_seeds(SeededEntropy(bytes(32)))]
    pinned = {
        "runtime_id": MANAGER,
        "signers": tuple(signer.public_key for signer in signers),
        "threshold": POLICY_THRESHOLD,
    }
    before = accept_policy(sign_policy(POLICY, signers), None, **pinned)
    changed = replace(revoke(FIRST, OLD)(POLICY), serial=5)
    after = accept_policy(sign_policy(changed, signers), before, **pinned)
    assert listed(after.body, FIRST) == ()
    with pytest.raises(PolicyRolledBack):
        accept_policy(before.signed, after, **pinned)
