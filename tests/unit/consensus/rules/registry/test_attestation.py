"""Real quotes, at registration and again at every election."""

from dataclasses import replace

import pytest

from qanat.cpu import TcbDeclaration, certificate_serial
from services.consensus.application import ConsensusApplication
from services.consensus.rules.registry.nodes import AttestationMissing
from shared.crypto.hashes import sha256
from shared.errors import QanatError
from shared.rules import state_keys
from shared.tee.attestation import verify_attestation
from shared.types.attestation import QuotePolicy, TeeConstraints
from shared.types.genesis import RegistryParameters
from shared.types.methods import Method
from shared.types.registry import Deployment, RuntimeDescriptor, Version
from tests.support import mock_tee
from tests.support.consensus_world import (
    COMPUTE,
    ENCLAVE,
    OWNER,
    PARATIME,
    SECOND,
    VERSION,
    World,
    make_genesis,
)

NODE, OTHER = COMPUTE[0], COMPUTE[1]


class AttestedWorld(World):
    """Quotes of the mock hardware in place of the tests' own."""

    def __init__(self, policy: QuotePolicy | None = None, network: str = "network") -> None:
        root_ca = mock_tee.pki(network).root_ca
        constraints = mock_tee.constraints()
        if policy is not None:
            constraints = replace(constraints, policy=policy)
        super().__init__(
            make_genesis(
                time_ns=mock_tee.NOW_S * SECOND,
                registry=RegistryParameters(2, sha256(root_ca), root_ca),
                paratime={"deployments": (Deployment(VERSION, 0, constraints),)},
            )
        )

    def capability(self, keys, height=None, **quoted):
        at = max(self.height, 1) if height is None else height
        asked = {"node_id": keys.id, "height": at, "signer": keys.rak, "identity": ENCLAVE}
        return mock_tee.attested(**(asked | quoted))

    def try_register(self, keys, capability):
        (served,) = self.descriptor(keys).runtimes
        descriptor = self.descriptor(keys, runtimes=(replace(served, tee=capability),))
        return self.run(keys.node, Method.REGISTER_NODE, self.signed(keys, descriptor))


@pytest.fixture
def world() -> AttestedWorld:
    world = AttestedWorld()
    world.verifier = verify_attestation
    world.app = ConsensusApplication(world.store)
    return world


def test_nodes_with_genuine_quotes_are_registered_elected_and_agree(world):
    world.register(*COMPUTE)
    assert world.committee is not None
    world.agree()


@pytest.mark.parametrize(
    ("quoted", "refusal"),
    [
        ({"identity": mock_tee.OTHER_ENCLAVE}, "UnknownEnclave"),
        ({"of": mock_tee.platform("foreign", "another network")}, "UntrustedRoot"),
        ({"node_id": OTHER.id}, "BadAttestationSignature"),
        ({"height": 10**6}, "AttestationFromFuture"),
    ],
)
def test_each_wrong_attestation_is_refused_by_its_own_class(world, quoted, refusal):
    result = world.try_register(NODE, world.capability(NODE, **quoted))
    assert result.codespace == "attestation"
    assert QanatError.by_code["attestation", result.code].__name__ == refusal


def test_a_quote_for_one_key_does_not_serve_another(world):
    good = world.capability(NODE)
    for stolen in (
        replace(good, rak=OTHER.rak.public_key),
        replace(good, rek=b"another key".ljust(32)),
    ):
        assert world.try_register(NODE, stolen).codespace == "attestation"
    assert world.try_register(NODE, None).code == AttestationMissing.code


def test_a_newer_deployment_with_a_stricter_policy_evicts_at_the_next_election(world):
    world.register(*COMPUTE)
    known = world.load(RuntimeDescriptor, state_keys.runtime_key(PARATIME))
    constraints = known.deployments[0].tee
    stricter = TeeConstraints(
        constraints.enclaves, replace(constraints.policy, fmspc_whitelist=("00" * 6,))
    )
    newer = Deployment(Version(0, 2, 0), world.epoch + 1, stricter)
    body = replace(known, deployments=(*known.deployments, newer))
    world.must(OWNER.entity, Method.REGISTER_RUNTIME, body)
    world.next_epoch()
    assert world.committee is None


def test_old_attestations_are_refused_at_registration(world):
    early = world.capability(NODE, height=1)
    for _ in range(4):
        world.next_epoch()
    assert world.try_register(NODE, early).codespace == "attestation"
    assert world.try_register(NODE, world.capability(NODE)).code == 0


REVOKED = mock_tee.platform("to be revoked")


def newer_collateral(days: int = 1):
    """As the mock Intel publishes it once it has revoked a platform."""
    declared = TcbDeclaration(revoked=(certificate_serial(REVOKED),), status="UpToDate")
    return mock_tee.pki().issue_collateral(mock_tee.NOW_S + days * 86_400, declared)


def renewed(capability, collateral):
    attestation = replace(capability.attestation, collateral=collateral)
    return replace(capability, attestation=attestation)


def refusal_of(result) -> str:
    return QanatError.by_code[result.codespace, result.code].__name__ if result.code else ""


def test_collateral_from_before_a_revocation_is_refused_once_newer_was_shown(world):
    world.block(seconds=5 * 86_400)
    old = world.capability(OTHER, of=REVOKED)
    assert world.try_register(OTHER, old).code == 0
    new = newer_collateral()
    assert world.try_register(NODE, renewed(world.capability(NODE), new)).code == 0
    # With the new list the platform is out at once ...
    answer = world.try_register(OTHER, renewed(world.capability(OTHER, of=REVOKED), new))
    assert refusal_of(answer) == "PlatformRevoked"
    # ... and with the old one when everybody had two epochs to fetch the new.
    assert world.try_register(OTHER, world.capability(OTHER, of=REVOKED)).code == 0
    world.next_epoch()
    assert world.try_register(OTHER, world.capability(OTHER, of=REVOKED)).code == 0
    world.next_epoch()
    answer = world.try_register(OTHER, world.capability(OTHER, of=REVOKED))
    assert refusal_of(answer) == "CollateralSuperseded"
    assert world.try_register(NODE, renewed(world.capability(NODE), new)).code == 0


def test_collateral_that_was_superseded_is_not_elected(world):
    world.verifier = verify_attestation
    for keys in COMPUTE:
        assert world.try_register(keys, world.capability(keys)).code == 0
    new = newer_collateral()
    world.block(seconds=5 * 86_400)
    for _ in range(2):
        for keys in COMPUTE:
            shown = renewed(world.capability(keys), new) if keys is NODE else world.capability(keys)
            assert world.try_register(keys, shown).code == 0
        world.next_epoch()
    assert world.committee is None
    for keys in COMPUTE:
        assert world.try_register(keys, renewed(world.capability(keys), new)).code == 0
    assert world.committee is not None


def test_a_newcomer_cannot_force_old_collateral_on_anybody(world):
    new = newer_collateral(0)
    assert world.try_register(NODE, renewed(world.capability(NODE), new)).code == 0
    for _ in range(3):
        world.next_epoch()
        assert world.try_register(NODE, renewed(world.capability(NODE), new)).code == 0
    assert refusal_of(world.try_register(OTHER, world.capability(OTHER))) == "CollateralSuperseded"


def test_time_travel_does_not_wear_out_the_mock_hardware(world):
    world.register(*COMPUTE)
    world.block(seconds=40 * 365 * 86_400)
    assert world.committee is not None
