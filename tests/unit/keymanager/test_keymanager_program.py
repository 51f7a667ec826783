"""The whole enclave program: real proofs, quotes and sessions; only processes are missing."""

import gc
from dataclasses import replace
from functools import partial
from types import FunctionType, ModuleType

import nacl.bindings
import pytest

from services.keymanager.enclave.committee import NotInCommittee
from services.keymanager.enclave.derivation import checksum_ephemeral_secret
from services.keymanager.enclave.master import WrongGeneration
from services.keymanager.enclave.program import EpochNotNow
from services.keymanager.enclave.publication import decrypt_secret
from shared.crypto.secret import SecretBytes
from shared.crypto.signing import verify_signature
from shared.encoding.record import decode_record, encode_record
from shared.rules import state_keys
from shared.rules.key_policy import policy_checksum, verify_public_key
from shared.rules.light_client import OldHeight, RewindForbidden, WrongStateValues
from shared.tee.attestation import UnknownEnclave
from shared.tee.collateral import CollateralSuperseded
from shared.tee.quote_verification import EvaluationTooOld, authenticate_quote
from shared.types.attestation import CollateralFloor
from shared.types.key_requests import (
    ChainView,
    EphemeralSecretMissing,
    FreshnessUnproven,
    MasterSecretMissing,
    OtherLife,
    QueryForbidden,
    StaleAsker,
)
from shared.types.keymanager import INIT_RESPONSE, EnclavePolicy, PublishedSecret
from shared.types.registry import RuntimeDescriptor
from tests.support import mock_tee
from tests.support.keymanager import (
    COMPUTE,
    HEIR,
    KEY_MANAGER,
    OTHER_PARATIME_ID,
    PARATIME_ID,
    SIGNERS,
    STRANGER,
    MemoryFiles,
    make_policy,
    sign_policy,
)
from tests.support.keymanager_chain import CHAIN_CONTEXT, FAMILY
from tests.support.keymanager_enclaves import Asker, Enclaves, node_id

PAIR = b"p" * 32


class Network:
    """Two members with a master secret and this epoch's ephemeral secret."""

    def __init__(self, **options) -> None:
        self.enclaves = Enclaves(**options)
        self.chain = self.enclaves.chain
        self.files = {"km-0": MemoryFiles(), "km-1": MemoryFiles()}
        self.first = self.enclaves.start("km-0", self.files["km-0"])
        self.second = self.enclaves.start("km-1", self.files["km-1"])
        self.enclaves.show_block()
        self.enclaves.register("km-0")
        self.enclaves.register("km-1")
        self.enclaves.show_block()

    def rotate(self, by=None) -> None:
        signed = (by or self.first).generate_master_secret()
        self.chain.publish(signed)
        self.enclaves.show_block()
        self.chain.accept_master(signed)
        self.enclaves.show_block()

    def publish_ephemeral(self, epoch: int | None = None, by=None) -> None:
        signed = (by or self.first).generate_ephemeral_secret(epoch or self.chain.epoch)
        self.chain.publish(signed)
        self.enclaves.show_block()

    def begin_epoch(self) -> None:
        self.chain.epoch += 1
        self.enclaves.show_block()

    def restart(self, name: str):
        """Restart an enclave; it has seen a block, and is registered as soon as it may be."""
        self.enclaves.stop(name)
        program = self.enclaves.start(name, self.files[name])
        state = program.synchronize(self.chain.block())
        if state.init_response is not None:
            self.join(name)
        return program, state

    def join(self, name: str) -> None:
        """Register a node, and show everybody that it is."""
        self.enclaves.register(name)
        self.enclaves.show_block()

    def rek(self, name: str) -> bytes:
        """REK that is registered for a node."""
        return self.chain.nodes[node_id(name)].runtimes[0].tee.rek

    def view(self) -> ChainView:
        latest = self.first.latest
        return ChainView(latest.height, latest.time_ns, latest.incarnation)


@pytest.fixture
def network() -> Network:
    network = Network()
    network.rotate()
    network.publish_ephemeral()
    return network


def public_keys(program, epoch: int = 2):
    return (
        program.fetch_public_key(PARATIME_ID, PAIR),
        program.fetch_ephemeral_public_key(PARATIME_ID, PAIR, epoch),
    )


class TestMasterSecret:
    def test_both_members_hold_the_accepted_secret(self, network):
        assert public_keys(network.first) == public_keys(network.second)

    def test_proposal_is_reported_before_it_is_accepted(self):
        network = Network()
        signed = network.first.generate_master_secret()
        network.chain.publish(signed)
        states = network.enclaves.show_block()
        for state in states:
            response = state.init_response.response
            assert response.checksum == b""
            assert response.next_checksum == signed.secret.secret.checksum
            assert response.rsk is None
        assert len({state.init_response.response.next_rsk for state in states}) == 1
        with pytest.raises(MasterSecretMissing):
            network.first.fetch_public_key(PARATIME_ID, PAIR)

    def test_accepted_secret_is_reported_with_the_promised_rsk(self):
        network = Network()
        signed = network.first.generate_master_secret()
        network.chain.publish(signed)
        promised = network.enclaves.show_block()[0].init_response.response.next_rsk
        network.chain.accept_master(signed)
        response = network.enclaves.show_block()[1].init_response.response
        assert response.checksum == signed.secret.secret.checksum
        assert response.rsk == promised
        assert response.next_checksum == b""

    @pytest.mark.parametrize("shared_seed", [None, b"seed".ljust(32)])
    def test_members_make_the_same_secrets_only_in_a_network_that_replays(self, shared_seed):
        checksums = set()
        for position in (0, 1):
            network = Network(shared_seed=shared_seed)
            member = (network.first, network.second)[position]
            network.rotate(by=member)
            network.publish_ephemeral(by=member)
            checksums.add((network.chain.status.checksum, public_keys(member)))
        assert len(checksums) == (2 if shared_seed is None else 1)

    def test_init_response_is_signed_by_the_rak_and_says_that_nothing_is_secure(self, network):
        signed = network.enclaves.show_block()[0].init_response
        assert not signed.response.is_secure
        assert signed.response.policy_checksum == policy_checksum(network.chain.status.policy)
        verify_signature(
            network.first.describe().rak,
            INIT_RESPONSE.for_chain(CHAIN_CONTEXT),
            encode_record(signed.response),
            signed.signature,
        )

    def test_failed_proposal_is_harmless(self, network):
        before = public_keys(network.first)
        network.chain.publish(network.first.generate_master_secret())
        network.enclaves.show_block()
        network.begin_epoch()
        network.begin_epoch()
        network.publish_ephemeral()
        assert network.first.fetch_public_key(PARATIME_ID, PAIR) == before[0]
        network.rotate(by=network.second)
        assert network.chain.status.generation == 1

    def test_old_keys_stay_after_rotation(self, network):
        before = network.first.fetch_public_key(PARATIME_ID, PAIR)
        network.rotate()
        after = network.second.fetch_public_key(PARATIME_ID, PAIR)
        assert after.key == before.key
        assert after.checksum != before.checksum

    def test_restarted_member_opens_its_sealed_secrets(self, network):
        network.rotate()
        expected = network.second.fetch_public_key(PARATIME_ID, PAIR)
        restarted, state = network.restart("km-0")
        assert not state.lacks_master
        assert restarted.fetch_public_key(PARATIME_ID, PAIR) == expected

    def test_member_that_restarts_in_the_middle_of_a_rotation_takes_part(self, network):
        signed = network.first.generate_master_secret()
        network.chain.publish(signed)
        network.enclaves.show_block()
        restarted, state = network.restart("km-1")
        assert state.init_response.response.next_checksum == signed.secret.secret.checksum
        network.chain.accept_master(signed)
        network.enclaves.show_block()
        assert restarted.fetch_public_key(PARATIME_ID, PAIR) == network.first.fetch_public_key(
            PARATIME_ID, PAIR
        )

    def test_newcomer_replicates_and_agrees_on_the_checksum(self, network):
        network.rotate()
        newcomer = network.enclaves.start("km-2", MemoryFiles())
        state = newcomer.synchronize(network.chain.block())
        assert state.lacks_master
        assert state.init_response is None
        state = newcomer.replicate(node_id("km-0"))
        assert not state.lacks_master
        assert state.init_response.response.checksum == network.chain.status.checksum
        network.join("km-2")
        assert public_keys(newcomer) == public_keys(network.first)

    def test_replicated_secret_is_sealed(self, network):
        files = network.files["km-2"] = MemoryFiles()
        newcomer = network.enclaves.start("km-2", files)
        newcomer.synchronize(network.chain.block())
        newcomer.replicate(node_id("km-0"))
        _, state = network.restart("km-2")
        assert not state.lacks_master

    def test_member_without_the_generation_before_cannot_propose(self, network):
        newcomer = network.enclaves.start("km-2", MemoryFiles())
        newcomer.synchronize(network.chain.block())
        network.enclaves.register("km-2")
        network.enclaves.show_block()
        with pytest.raises(WrongGeneration):
            newcomer.generate_master_secret()


class TestSealing:
    def test_directory_of_another_node_does_not_open(self, network):
        thief = network.enclaves.start("km-9", MemoryFiles(network.files["km-0"].blobs))
        assert thief.synchronize(network.chain.block()).lacks_master

    def test_upgraded_enclave_cannot_unseal_but_inherits(self, network):
        heir_policy = make_policy(
            serial=2,
            enclaves=(
                EnclavePolicy(KEY_MANAGER, {PARATIME_ID: (COMPUTE,)}, (HEIR,)),
                EnclavePolicy(HEIR, {PARATIME_ID: (COMPUTE,)}),
            ),
        )
        network.chain.status = replace(network.chain.status, policy=sign_policy(heir_policy))
        network.enclaves.show_block()
        upgraded = network.enclaves.start("km-9", MemoryFiles(network.files["km-0"].blobs), HEIR)
        assert upgraded.synchronize(network.chain.block()).lacks_master
        assert not upgraded.replicate(node_id("km-1")).lacks_master
        network.join("km-9")
        assert public_keys(upgraded) == public_keys(network.second)

    def test_enclave_that_is_no_heir_inherits_nothing(self, network):
        stranger = network.enclaves.start("km-9", MemoryFiles(), STRANGER)
        network.enclaves.running[node_id("km-9")].synchronize(network.chain.block())
        with pytest.raises(UnknownEnclave):
            stranger.replicate(node_id("km-0"))

    def test_old_directory_after_a_rotation_is_caught_and_healed(self, network):
        old = dict(network.files["km-1"].blobs)
        network.rotate()
        network.files["km-1"].blobs = old
        restarted, state = network.restart("km-1")
        assert state.lacks_master
        with pytest.raises(FreshnessUnproven):
            restarted.fetch_public_key(PARATIME_ID, PAIR)
        restarted.replicate(node_id("km-0"))
        network.join("km-1")
        assert restarted.fetch_public_key(PARATIME_ID, PAIR) == network.first.fetch_public_key(
            PARATIME_ID, PAIR
        )


class TestEphemeralSecrets:
    def test_next_epoch_is_ready_before_it_begins(self, network):
        network.publish_ephemeral(3)
        assert network.second.fetch_ephemeral_public_key(PARATIME_ID, PAIR, 3).expiration == 13

    @pytest.mark.parametrize("epoch", [1, 4])
    def test_no_secret_is_made_for_other_epochs(self, network, epoch):
        with pytest.raises(EpochNotNow):
            network.first.generate_ephemeral_secret(epoch)

    def test_restarted_member_takes_them_from_the_other(self, network):
        network.publish_ephemeral(3)
        restarted, state = network.restart("km-0")
        assert state.lacks_ephemeral
        assert state.ephemeral_epochs == ()
        state = restarted.replicate(node_id("km-1"))
        assert state.ephemeral_epochs == (2, 3)
        assert not state.lacks_ephemeral
        assert public_keys(restarted) == public_keys(network.second)

    def test_restart_of_every_member_loses_them_and_the_next_epoch_heals(self, network):
        lost = network.first.fetch_ephemeral_public_key(PARATIME_ID, PAIR, 2)
        network.first, _ = network.restart("km-0")
        network.second, _ = network.restart("km-1")
        state = network.first.replicate(node_id("km-1"))
        assert state.lacks_ephemeral
        for program in (network.first, network.second):
            with pytest.raises(EphemeralSecretMissing):
                program.fetch_ephemeral_public_key(PARATIME_ID, PAIR, 2)
        network.enclaves.register("km-0")
        network.enclaves.register("km-1")
        network.begin_epoch()
        network.publish_ephemeral()
        healed = network.second.fetch_ephemeral_public_key(PARATIME_ID, PAIR, 3)
        assert healed.key != lost.key

    def test_disk_of_every_member_holds_nothing_of_them(self, network):
        # Forward secrecy: whoever seizes all disks and platforms finds master secrets at most.
        held = network.first._vault.ephemeral.get(2).secret.reveal()
        names = {name for files in network.files.values() for name in files.blobs}
        assert names == {"master-0.sealed", "policy.sealed"}
        assert all(
            held not in program.sealer.unseal(context, files.blobs[name], data)
            for program, files in (
                (network.first, network.files["km-0"]),
                (network.second, network.files["km-1"]),
            )
            for name, context, data in (
                ("policy.sealed", b"oasis-core/keymanager: policy seal", b""),
                (
                    "master-0.sealed",
                    b"oasis-core/keymanager: master secret seal",
                    network.chain.runtime_id + bytes(8),
                ),
            )
        )

    def test_twenty_epochs_are_kept_in_memory(self, network):
        for _ in range(25):
            network.begin_epoch()
            network.publish_ephemeral()
        assert len(network.enclaves.show_block()[0].ephemeral_epochs) == 20

    def test_bad_ciphertext_does_not_stop_a_member(self, network):
        signed = network.first.generate_ephemeral_secret(3)
        rek = network.rek("km-1")
        spoiled = dict(signed.secret.secret.ciphertexts) | {rek: bytes(72)}
        encrypted = replace(signed.secret.secret, ciphertexts=spoiled)
        network.chain.publish(replace(signed, secret=replace(signed.secret, secret=encrypted)))
        first, second = network.enclaves.show_block()
        assert not first.lacks_ephemeral
        assert second.lacks_ephemeral
        assert public_keys(network.second) == public_keys(network.first)
        assert not network.second.replicate(node_id("km-0")).lacks_ephemeral


class TestRecipients:
    def test_secret_goes_to_every_attested_member(self, network):
        signed = network.first.generate_ephemeral_secret(3)
        reks = {network.rek("km-0"), network.rek("km-1")}
        assert set(signed.secret.secret.ciphertexts) == reks

    @pytest.mark.parametrize("forgery", ["rek", "enclave", "node"])
    def test_member_with_forged_evidence_gets_nothing(self, network, forgery):
        # As if the validators themselves had let it in.
        descriptor = network.chain.nodes[node_id("km-1")]
        runtime = descriptor.runtimes[0]
        match forgery:
            case "rek":
                tee, name = replace(runtime.tee, rek=b"r" * 32), node_id("km-1")
            case "enclave":
                tee = mock_tee.attested(identity=STRANGER, node_id=node_id("km-1"), height=1)
                name = node_id("km-1")
            case _:
                tee, name = runtime.tee, node_id("km-7")
        network.chain.nodes.pop(node_id("km-1"))
        network.chain.register(replace(descriptor, id=name, runtimes=(replace(runtime, tee=tee),)))
        network.enclaves.show_block()
        signed = network.first.generate_ephemeral_secret(3)
        assert set(signed.secret.secret.ciphertexts) == {network.rek("km-0")}

    def test_enclave_that_is_not_registered_publishes_nothing(self, network):
        network.enclaves.stop("km-0")
        restarted = network.enclaves.start("km-0", network.files["km-0"])
        restarted.synchronize(network.chain.block())
        with pytest.raises(NotInCommittee):
            restarted.generate_ephemeral_secret(3)


class TestRelease:
    def test_listed_enclave_gets_the_same_keys_from_both(self, network):
        answers = [
            Asker(program, COMPUTE).ask(
                "get_or_create_ephemeral_keys",
                runtime_id=PARATIME_ID,
                key_pair_ids=(PAIR,),
                epoch=2,
                view=network.view(),
            )
            for program in (network.first, network.second)
        ]
        assert answers[0] == answers[1]
        public = network.first.fetch_ephemeral_public_key(PARATIME_ID, PAIR, 2)
        assert answers[0][0].public_key == public.key
        verify_public_key(
            public,
            rsk=network.enclaves.show_block()[0].init_response.response.rsk,
            runtime_id=PARATIME_ID,
            key_pair_id=PAIR,
            epoch=2,
            now_epoch=2,
        )

    def test_unlisted_enclave_gets_no_session(self, network):
        with pytest.raises(UnknownEnclave):
            Asker(network.first, STRANGER).ask(
                "get_or_create_keys",
                runtime_id=PARATIME_ID,
                key_pair_ids=(PAIR,),
                generation=0,
                view=network.view(),
            )

    def test_listed_enclave_gets_nothing_of_another_paratime(self, network):
        with pytest.raises(QueryForbidden):
            Asker(network.first, COMPUTE).ask(
                "get_or_create_keys",
                runtime_id=OTHER_PARATIME_ID,
                key_pair_ids=(PAIR,),
                generation=0,
                view=network.view(),
            )

    def test_asker_601_seconds_behind_gets_nothing(self, network):
        old = network.view()
        network.enclaves.show_block(seconds=601)
        asker = Asker(network.first, COMPUTE)
        with pytest.raises(StaleAsker):
            asker.ask(
                "get_or_create_keys",
                runtime_id=PARATIME_ID,
                key_pair_ids=(PAIR,),
                generation=0,
                view=old,
            )

    def test_enclave_that_a_new_policy_drops_loses_access_in_its_open_session(self, network):
        asker = Asker(network.first, COMPUTE)
        request = {
            "runtime_id": PARATIME_ID,
            "key_pair_ids": (PAIR,),
            "generation": 0,
            "view": network.view(),
        }
        asker.ask("get_or_create_keys", **request)
        dropped = make_policy(serial=2, enclaves=(EnclavePolicy(KEY_MANAGER, {}),))
        network.chain.status = replace(network.chain.status, policy=sign_policy(dropped))
        network.enclaves.show_block()
        with pytest.raises(UnknownEnclave):
            asker.ask("get_or_create_keys", **request)

    def test_platform_that_was_revoked_loses_access_in_its_open_session(self, network):
        asker = Asker(network.first, COMPUTE)
        ask = partial(asker.ask, "get_or_create_keys", **REQUEST, view=network.view())
        ask()
        # Others have shown newer lists of revocations since.
        edition = edition_of(network.first)
        newer = CollateralFloor(replace(edition, pck_crl=edition.pck_crl + 1), 2, edition)
        network.chain.write(state_keys.collateral_floor_key(FAMILY), newer)
        network.enclaves.show_block()
        ask()
        network.begin_epoch()
        network.begin_epoch()
        with pytest.raises(CollateralSuperseded):
            ask()

    def test_platform_policy_of_a_new_deployment_holds_in_open_sessions(self, network):
        asker = Asker(network.first, COMPUTE)
        ask = partial(asker.ask, "get_or_create_keys", **REQUEST, view=network.view())
        ask()
        key = state_keys.runtime_key(network.chain.runtime_id)
        runtime = decode_record(RuntimeDescriptor, network.first.latest.values[key])
        (deployment,) = runtime.deployments
        strict = mock_tee.constraints(KEY_MANAGER, min_tcb_evaluation_data_number=10_000)
        network.chain.write(key, replace(runtime, deployments=(replace(deployment, tee=strict),)))
        network.enclaves.show_block()
        with pytest.raises(EvaluationTooOld):
            ask()


def edition_of(program):
    """Edition of the collateral that the platforms of these tests show."""
    quoted = program.quoted()
    return authenticate_quote(
        quoted.quote, quoted.collateral, root_ca=mock_tee.pki().root_ca, now_s=mock_tee.NOW_S
    ).edition


class TestTrust:
    def test_policy_of_consensus_with_too_few_signers_is_not_followed(self, network):
        forged = make_policy(
            serial=9, enclaves=(EnclavePolicy(KEY_MANAGER, {PARATIME_ID: (STRANGER,)}),)
        )
        network.chain.status = replace(network.chain.status, policy=sign_policy(forged, SIGNERS[0]))
        for state in network.enclaves.show_block():
            assert "1 of 2 trusted signers" in state.policy_refusal
        assert public_keys(network.first) == public_keys(network.second)
        network.publish_ephemeral(3)
        assert public_keys(network.first, 3) == public_keys(network.second, 3)
        with pytest.raises(UnknownEnclave):
            Asker(network.first, STRANGER).ask(
                "replicate_master_secret", generation=0, view=network.view()
            )

    def test_policy_rollback_is_noticed_after_a_restart(self, network):
        old = network.chain.status.policy
        newer = sign_policy(make_policy(serial=2))
        network.chain.status = replace(network.chain.status, policy=newer)
        network.enclaves.show_block()
        network.chain.status = replace(network.chain.status, policy=old)
        _, state = network.restart("km-0")
        assert "serial 1 after 2" in state.policy_refusal
        assert state.init_response.response.policy_checksum == policy_checksum(newer)

    def test_state_that_is_not_proven_is_refused(self, network):
        proven = network.chain.block()
        key = state_keys.key_manager_status_key(network.chain.runtime_id)
        forged = tuple(
            (item, encode_record(replace(network.chain.status, is_initialized=False)))
            if item == key
            else (item, value)
            for item, value in proven.items
        )
        with pytest.raises(WrongStateValues):
            network.first.synchronize(replace(proven, items=forged))
        assert public_keys(network.first)

    def test_older_block_is_refused(self, network):
        old = network.chain.prove()
        network.enclaves.show_block()
        with pytest.raises(OldHeight):
            network.first.synchronize(old)


class TestRewind:
    def rewind(self, network, snapshot):
        network.chain.rewind(snapshot)
        proven = network.chain.block(seconds=2)
        return [program.synchronize(proven) for program in network.enclaves.running.values()]

    def test_secrets_survive_when_the_chain_goes_back(self, network):
        before = public_keys(network.second)
        snapshot = network.chain.snapshot()
        network.rotate()
        network.begin_epoch()
        network.publish_ephemeral()
        for state in self.rewind(network, snapshot):
            assert state.epoch == 2
            assert not state.lacks_master
            assert not state.lacks_ephemeral
        assert public_keys(network.second) == before
        network.rotate(by=network.second)
        assert network.chain.status.generation == 1
        assert public_keys(network.first) == public_keys(network.second)

    def test_epoch_that_is_lived_again_gets_the_secret_that_is_published_then(self, network):
        snapshot = network.chain.snapshot()
        network.begin_epoch()
        network.publish_ephemeral()
        abandoned = public_keys(network.first, 3)
        self.rewind(network, snapshot)
        network.begin_epoch()
        network.publish_ephemeral(by=network.second)
        assert public_keys(network.first, 3) == public_keys(network.second, 3) != abandoned

    def test_key_manager_that_slept_through_a_rewind_gives_nothing_to_who_did_not(self, network):
        snapshot = network.chain.snapshot()
        network.begin_epoch()
        network.publish_ephemeral()
        asleep = network.enclaves.running.pop(node_id("km-1"))
        self.rewind(network, snapshot)
        network.begin_epoch()
        view = network.view()
        assert (view.incarnation, asleep.latest.incarnation) == (1, 0)
        request = {"runtime_id": PARATIME_ID, "key_pair_ids": (PAIR,), "epoch": 3, "view": view}
        with pytest.raises(OtherLife):
            Asker(asleep, COMPUTE).ask("get_or_create_ephemeral_keys", **request)
        # And who is in the void life himself gets nothing from those who have left it.
        network.join("km-0")
        late = replace(network.view(), incarnation=0)
        with pytest.raises(OtherLife):
            Asker(network.first, COMPUTE).ask(
                "get_or_create_ephemeral_keys", **(request | {"view": late})
            )

    def test_sessions_of_the_life_before_are_over_and_opened_anew(self, network):
        asker = Asker(network.first, COMPUTE)
        request = {"runtime_id": PARATIME_ID, "key_pair_ids": (PAIR,), "generation": 0}
        before = asker.ask("get_or_create_keys", **request, view=network.view())
        assert network.first._sessions._sessions
        self.rewind(network, network.chain.snapshot())
        assert not network.first._sessions._sessions
        network.join("km-0")
        assert asker.ask("get_or_create_keys", **request, view=network.view()) == before

    def test_secret_of_an_epoch_that_is_void_is_given_to_nobody(self, network):
        snapshot = network.chain.snapshot()
        kept = public_keys(network.first, 2)
        network.begin_epoch()
        network.publish_ephemeral()
        for state in self.rewind(network, snapshot):
            assert state.ephemeral_epochs == (2,)
        network.begin_epoch()
        for program in (network.first, network.second):
            with pytest.raises(EphemeralSecretMissing):
                public_keys(program, 3)
            assert public_keys(program, 2) == kept

    def test_who_slept_through_several_rewinds_keeps_only_what_all_lives_share(self, network):
        first = network.chain.snapshot()
        network.begin_epoch()
        network.publish_ephemeral()
        second = network.chain.snapshot()
        network.begin_epoch()
        network.publish_ephemeral()
        assert network.enclaves.show_block()
        # Nobody sees a block of the life that went back furthest.
        for snapshot in (second, first):
            network.chain.rewind(snapshot)
            proven = network.chain.block(seconds=2)
        network.chain.epoch = 5
        proven = network.chain.block(seconds=2)
        assert network.first.synchronize(proven).ephemeral_epochs == (2,)

    def test_policy_from_before_is_followed_again(self, network):
        snapshot = network.chain.snapshot()
        newer = sign_policy(make_policy(serial=2))
        network.chain.status = replace(network.chain.status, policy=newer)
        network.enclaves.show_block()
        self.rewind(network, snapshot)
        _, state = network.restart("km-0")
        checksum = policy_checksum(snapshot["status"].policy)
        assert state.init_response.response.policy_checksum == checksum

    def test_without_dev_controls_nobody_goes_back(self):
        network = Network(has_dev_controls=False)
        network.rotate()
        network.publish_ephemeral()
        snapshot = network.chain.snapshot()
        network.begin_epoch()
        with pytest.raises(RewindForbidden):
            self.rewind(network, snapshot)
        assert network.first.latest.incarnation == 0


REQUEST = {"runtime_id": PARATIME_ID, "key_pair_ids": (PAIR,), "generation": 0}


class TestFreshness:
    """A RAK is drawn at each start: a state that holds it is newer than the start."""

    def test_restarted_enclave_that_is_shown_a_month_old_chain_releases_nothing(self):
        network = Network(has_dev_controls=False)
        network.rotate()
        network.publish_ephemeral()
        old_block, old_view = network.chain.prove(), network.view()
        # COMPUTE was broken: a new policy takes its keys away.
        revoked = make_policy(2, enclaves=(EnclavePolicy(KEY_MANAGER, {PARATIME_ID: (HEIR,)}),))
        network.chain.status = replace(network.chain.status, policy=sign_policy(revoked))
        network.enclaves.show_block(seconds=30 * 86400)
        network.enclaves.stop("km-0")
        network.files["km-0"].blobs.pop("policy.sealed")
        restarted = network.enclaves.start("km-0", network.files["km-0"])
        state = restarted.synchronize(old_block)
        assert not state.lacks_master
        assert not state.is_fresh
        with pytest.raises(FreshnessUnproven):
            Asker(restarted, COMPUTE).ask("get_or_create_keys", **REQUEST, view=old_view)
        for secret, number in (("master", {"generation": 0}), ("ephemeral", {"epoch": 2})):
            with pytest.raises(FreshnessUnproven):
                Asker(restarted, KEY_MANAGER).ask(
                    f"replicate_{secret}_secret", **number, view=old_view
                )

    def test_registration_of_this_start_frees_it_and_one_of_an_earlier_start_does_not(
        self, network
    ):
        expected = public_keys(network.first)
        network.enclaves.stop("km-0")
        restarted = network.enclaves.start("km-0", network.files["km-0"])
        # The registry still holds the key of the start before.
        assert not restarted.synchronize(network.chain.block()).is_fresh
        with pytest.raises(FreshnessUnproven):
            public_keys(restarted)
        network.join("km-0")
        restarted.replicate(node_id("km-1"))
        assert public_keys(restarted) == expected

    def test_first_key_manager_of_a_network_needs_nobody_elses_word(self):
        enclaves = Enclaves()
        program = enclaves.start("km-0", MemoryFiles())
        (state,) = enclaves.show_block()
        assert state.init_response is not None
        enclaves.register("km-0")
        (state,) = enclaves.show_block()
        assert state.is_fresh
        signed = program.generate_master_secret()
        enclaves.chain.publish(signed)
        enclaves.show_block()
        enclaves.chain.accept_master(signed)
        enclaves.show_block()
        assert Asker(program, COMPUTE).ask(
            "get_or_create_keys",
            **REQUEST,
            view=ChainView(program.latest.height, program.latest.time_ns),
        )

    def test_chain_that_was_rewound_to_before_this_start_proves_it_anew(self, network):
        snapshot = network.chain.snapshot()
        network.restart("km-0")
        network.restart("km-1")
        network.chain.rewind(snapshot)
        proven = network.chain.block(seconds=2)
        for program in network.enclaves.running.values():
            assert not program.synchronize(proven).is_fresh


class TestForwardSecrecy:
    def live(self, network, epochs: int) -> list[PublishedSecret]:
        """Let epochs pass as hosts do: register in each, publish its secret."""
        public = []
        for _ in range(epochs):
            network.chain.epoch += 1
            network.enclaves.show_block()
            network.enclaves.register("km-0")
            network.join("km-1")
            signed = network.first.generate_ephemeral_secret(network.chain.epoch)
            network.chain.publish(signed)
            public.append(signed.secret)
            network.enclaves.show_block()
        return public

    def test_whole_state_at_epoch_62_opens_nothing_of_epoch_3(self, network):
        public = self.live(network, 60)
        assert network.chain.epoch == 62
        assert public[0].epoch == 3
        candidates = bytes_within(network.second)
        assert len(candidates) > 50
        # The method finds what is there: the registered key opens the newest epoch's secret.
        assert opened(public[-1], candidates)
        assert not opened(public[0], candidates)
        assert not secret_among(public[0], candidates)
        assert secret_among(public[-1], candidates)

    def test_key_is_another_one_at_each_registration(self, network):
        seen = set()
        for _ in range(5):
            network.join("km-0")
            seen.add(network.rek("km-0"))
        assert len(seen) == 5
        assert network.first.reks.held() == (network.rek("km-0"),)

    def test_secret_that_was_encrypted_to_the_last_key_is_taken_before_it_goes(self, network):
        signed = network.first.generate_ephemeral_secret(3)
        # Its receiver registers anew while the secret is on its way.
        network.enclaves.register("km-1")
        assert network.rek("km-1") not in signed.secret.secret.ciphertexts
        network.chain.publish(signed)
        network.enclaves.show_block()
        assert public_keys(network.first, 3) == public_keys(network.second, 3)

    def test_keys_that_were_never_registered_do_not_push_out_the_registered_one(self, network):
        for _ in range(100):
            network.second.attest(node_id("km-1"))
        network.publish_ephemeral(3)
        assert public_keys(network.first, 3) == public_keys(network.second, 3)


class TestOpenEpochs:
    def test_member_that_was_paused_over_epochs_fetches_each_that_is_open(self, network):
        paused = network.enclaves.running.pop(node_id("km-1"))
        for _ in range(3):
            network.begin_epoch()
            network.publish_ephemeral()
        network.enclaves.running[node_id("km-1")] = paused
        network.chain.status = replace(network.chain.status, open_epochs=(2, 3, 4))
        (_, state) = network.enclaves.show_block()
        assert state.lacks_ephemeral
        state = paused.replicate(node_id("km-0"))
        assert not state.lacks_ephemeral
        for epoch in (2, 3, 4, 5):
            assert public_keys(paused, epoch) == public_keys(network.first, epoch)

    def test_epoch_that_nobody_holds_is_not_waited_for(self, network):
        restarted, _ = network.restart("km-1")
        restarted.replicate(node_id("km-0"))
        network.chain.epoch = 5
        network.enclaves.show_block()
        network.publish_ephemeral()
        network.chain.status = replace(network.chain.status, open_epochs=(2,))
        states = network.enclaves.show_block()
        assert [state.lacks_ephemeral for state in states] == [False, False]

    def test_open_epoch_out_of_reach_is_not_fetched_any_more(self, network):
        network.chain.epoch = 30
        network.enclaves.show_block()
        network.publish_ephemeral()
        network.chain.status = replace(network.chain.status, open_epochs=(19, 20))
        (state, _) = network.enclaves.show_block()
        assert network.first._vault.lacks(network.first._chain) == (20,)
        assert state.lacks_ephemeral


def bytes_within(root: object) -> set[bytes]:
    """Every byte string in memory that can be reached from an object, and its parts of 32 bytes."""
    found: set[bytes] = set()
    seen, waiting = {id(root)}, [root]
    while waiting:
        one = waiting.pop()
        if isinstance(one, bytes | bytearray):
            found.add(bytes(one))
            continue
        if isinstance(one, ModuleType | type | FunctionType):
            if isinstance(one, FunctionType):
                waiting.extend(cell.cell_contents for cell in one.__closure__ or ())
            continue
        for other in gc.get_referents(one):
            if id(other) not in seen:
                seen.add(id(other))
                waiting.append(other)
    return {raw for raw in found if len(raw) == 32}


def opened(published: PublishedSecret, candidates: set[bytes]) -> bool:
    """Say whether one of the candidates is a private key that opens a published secret."""
    for private in candidates:
        rek = nacl.bindings.crypto_scalarmult_base(private)
        exchange = partial(_exchange_with, private)
        if decrypt_secret(published, reks=(rek,), exchange=exchange) is not None:
            return True
    return False


def _exchange_with(private: bytes, _: bytes, key: bytes) -> bytes:
    return nacl.bindings.crypto_scalarmult(private, key)


def secret_among(published: PublishedSecret, candidates: set[bytes]) -> bool:
    """Say whether one of the candidates is the published secret itself."""
    checksum = published.secret.checksum
    return any(
        checksum_ephemeral_secret(SecretBytes(raw), published.runtime_id, published.epoch)
        == checksum
        for raw in candidates
    )
