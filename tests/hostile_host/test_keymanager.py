"""
The key manager's enclave under a host that lies in every message and every file.

What the host may do: show any block that validators signed, in any order and as old as it likes,
keep blocks back, restart the enclave over any files, and carry messages of sessions where it wants.
"""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.keymanager.enclave.protocol import KeyManagerEnclaveApi
from shared.enclave.program import ChainUnknown
from shared.encoding.contract import methods_of
from shared.encoding.record import decode_record, encode_record
from shared.errors import MethodNotFound, PeerFailed, QanatError, Rejected
from shared.rules import state_keys
from shared.rules.light_client import OldHeight
from shared.tee.attestation import UnknownEnclave
from shared.tee.session import SessionMessageReplayed
from shared.tee.session_messages import SessionMessageForged
from shared.types.key_requests import ChainView, FreshnessUnproven, PolicyMissing
from shared.types.keymanager import EnclavePolicy, KeyManagerStatus
from tests.support.keymanager import (
    COMPUTE,
    HEIR,
    KEY_MANAGER,
    PARATIME_ID,
    STRANGER,
    MemoryFiles,
    make_policy,
    sign_policy,
)
from tests.support.keymanager_enclaves import Asker, Enclaves, node_id
from tests.support.lying_host import LyingHost, flipped
from tests.support.short_run import examples

PAIR = b"p" * 32
REQUEST = {"runtime_id": PARATIME_ID, "key_pair_ids": (PAIR,), "generation": 0}
METHODS = sorted(methods_of(KeyManagerEnclaveApi))
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64 - 1)
    | st.binary(max_size=40)
    | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


class Scene:
    """Two members with secrets; the host of the first one lies. No dev controls: no rewinds."""

    def __init__(self) -> None:
        self.enclaves = Enclaves(has_dev_controls=False)
        self.chain = self.enclaves.chain
        self.files = MemoryFiles()
        self.host = LyingHost(
            KeyManagerEnclaveApi, lambda: self.enclaves.start("km-0", self.files), None
        )
        self.other = self.enclaves.start("km-1", MemoryFiles())
        self.enclaves.show_block()
        self.join("km-0")
        self.join("km-1")
        self.rotate()
        self.chain.publish(self.other.generate_ephemeral_secret(2))
        self.enclaves.show_block()

    def join(self, name: str) -> None:
        self.enclaves.register(name)
        self.enclaves.show_block()

    def rotate(self) -> None:
        signed = self.other.generate_master_secret()
        self.chain.publish(signed)
        self.enclaves.show_block()
        self.chain.accept_master(signed)
        self.enclaves.show_block()

    def set_policy(self, policy) -> None:
        self.chain.status = replace(self.chain.status, policy=policy)

    def view(self) -> ChainView:
        return ChainView(self.other.latest.height, self.other.latest.time_ns)

    def key(self, who=COMPUTE):
        return Asker(self.host.program, who).ask("get_or_create_keys", **REQUEST, view=self.view())


@pytest.fixture
def scene() -> Scene:
    return Scene()


# -- messages ------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@settings(
    max_examples=examples(25),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_no_message_meets_a_bug_or_spoils_a_secret(scene, method, data):
    names = methods_of(KeyManagerEnclaveApi)[method].parameters
    shaped = st.fixed_dictionaries(dict.fromkeys(names, VALUES))
    before = scene.key()
    try:
        scene.host.send(method, data.draw(shaped | VALUES))
    except PeerFailed as bug:
        raise AssertionError(bug.message) from bug
    except QanatError:
        pass
    assert scene.key() == before


def test_what_is_no_message_of_the_contract_is_refused(scene):
    for name in ("observe", "enter_incarnation", "_publish", "rak", "reks", "sealer", "_vault"):
        with pytest.raises(MethodNotFound):
            scene.host.send(name, {})


def test_nothing_happens_before_a_proof_but_who_the_enclave_is(scene):
    scene.host.restart()
    assert scene.host.ask("describe").identity == KEY_MANAGER
    for method, arguments in (
        ("attest", (node_id("km-0"),)),
        ("generate_master_secret", ()),
        ("generate_ephemeral_secret", (2,)),
        ("replicate", (node_id("km-1"),)),
    ):
        with pytest.raises(ChainUnknown):
            scene.host.ask(method, *arguments)
    with pytest.raises((PolicyMissing, FreshnessUnproven, ChainUnknown)):
        scene.host.ask("fetch_public_key", PARATIME_ID, PAIR)
    with pytest.raises((PolicyMissing, ChainUnknown)):
        scene.key()


# -- the chain -----------------------------------------------------------------------------------


def test_value_that_was_changed_is_not_proven(scene):
    scene.enclaves.running.pop(node_id("km-0"))
    proven = scene.chain.block()
    before = scene.key()
    for index, (key, value) in enumerate(proven.items):
        if not value:
            continue
        for changed in (None, flipped(value)):
            items = (*proven.items[:index], (key, changed), *proven.items[index + 1 :])
            with pytest.raises(Rejected):
                scene.host.ask("synchronize", replace(proven, items=items))
    assert scene.key() == before
    assert scene.host.ask("synchronize", proven).is_fresh


def test_value_that_is_left_out_is_missed(scene):
    scene.enclaves.running.pop(node_id("km-0"))
    proven = scene.chain.block()
    status_key = state_keys.key_manager_status_key(scene.chain.runtime_id)
    kept = tuple(item for item in proven.items if item[0] != status_key)
    with pytest.raises(Rejected):
        scene.host.ask("synchronize", replace(proven, items=kept))


def test_older_block_takes_the_enclave_nowhere(scene):
    old = scene.chain.prove()
    scene.enclaves.show_block()
    with pytest.raises(OldHeight):
        scene.host.ask("synchronize", old)
    scene.key()


def test_restart_on_an_old_chain_under_a_revoked_policy_releases_nothing(scene):
    """The audit's attack: a month-old block, and no `policy.sealed`."""
    old, view = scene.chain.prove(), scene.view()
    scene.set_policy(
        sign_policy(make_policy(2, enclaves=(EnclavePolicy(KEY_MANAGER, {PARATIME_ID: (HEIR,)}),)))
    )
    scene.enclaves.show_block(seconds=30 * 86_400)
    with pytest.raises(UnknownEnclave):
        scene.key()
    del scene.files.blobs["policy.sealed"]
    scene.host.restart()
    assert not scene.host.ask("synchronize", old).is_fresh
    asker = Asker(scene.host.program, COMPUTE)
    with pytest.raises(FreshnessUnproven):
        asker.ask("get_or_create_keys", **REQUEST, view=view)
    with pytest.raises(FreshnessUnproven):
        scene.host.ask("fetch_public_key", PARATIME_ID, PAIR)


def test_descriptor_of_an_earlier_start_proves_nothing_about_this_one(scene):
    scene.host.restart()
    for _ in range(2):
        proven = scene.chain.block()
        assert not scene.host.ask("synchronize", proven).is_fresh
    # Nor does an attestation that nobody has registered.
    scene.host.ask("attest", node_id("km-0"))
    assert not scene.host.ask("synchronize", scene.chain.block()).is_fresh
    with pytest.raises(FreshnessUnproven):
        scene.key()


def test_policy_without_enough_signatures_gives_nobody_anything(scene):
    forged = make_policy(
        9, enclaves=(EnclavePolicy(KEY_MANAGER, {PARATIME_ID: (STRANGER,)}, (STRANGER,)),)
    )
    scene.set_policy(replace(sign_policy(forged), signatures=()))
    assert scene.enclaves.show_block()[0].policy_refusal
    with pytest.raises(UnknownEnclave):
        scene.key(STRANGER)
    scene.key()


# -- files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "junk", "gone"])
@pytest.mark.parametrize("name", ["master-0.sealed", "policy.sealed"])
def test_damaged_blob_is_noticed_and_never_used(scene, name, damage):
    before = scene.key()
    blob = scene.files.blobs[name]
    changed = {"flip": flipped(blob), "cut": blob[:-1], "empty": b"", "junk": bytes(len(blob))}
    if damage == "gone":
        del scene.files.blobs[name]
    else:
        scene.files.blobs[name] = changed[damage]
    scene.host.restart()
    state = scene.host.ask("synchronize", scene.chain.block())
    assert state.lacks_master == (name == "master-0.sealed")
    if state.lacks_master:
        assert not scene.host.ask("replicate", node_id("km-1")).lacks_master
    scene.join("km-0")
    assert scene.key() == before


def test_blobs_that_change_places_do_not_open(scene):
    scene.rotate()
    blobs = scene.files.blobs
    blobs["master-0.sealed"], blobs["master-1.sealed"] = (
        blobs["master-1.sealed"],
        blobs["master-0.sealed"],
    )
    scene.host.restart()
    assert scene.host.ask("synchronize", scene.chain.block()).lacks_master


def test_directory_from_before_a_rotation_is_not_taken_for_the_newest(scene):
    old = dict(scene.files.blobs)
    scene.rotate()
    scene.files.blobs.clear()
    scene.files.blobs.update(old)
    scene.host.restart()
    assert scene.host.ask("synchronize", scene.chain.block()).lacks_master
    with pytest.raises(QanatError):
        scene.key()


def test_no_blob_holds_a_secret_in_the_clear(scene):
    scene.rotate()
    vault = scene.host.program._vault
    secrets = [vault.master.secret(generation).reveal() for generation in range(2)]
    secrets += [vault.ephemeral.get(2).secret.reveal()]
    for blob in scene.files.blobs.values():
        assert not any(secret in blob for secret in secrets)


# -- sessions ------------------------------------------------------------------------------------


class Carrier:
    """A host between two enclaves: it keeps every message."""

    def __init__(self, program) -> None:
        self._program = program
        self.sent: list[tuple[bytes, bytes, bytes]] = []

    def __call__(self, session_id: bytes, message: bytes) -> bytes:
        answer = self._program.call_session(session_id, message)
        self.sent.append((session_id, message, answer))
        return answer


@pytest.fixture
def carried(scene):
    """A session with one answered request, carried by a host that keeps everything."""
    carrier = Carrier(scene.host.program)
    asker = Asker(scene.host.program, COMPUTE)
    asker._client._relay = carrier
    (pair,) = asker.ask("get_or_create_keys", **REQUEST, view=scene.view())
    return carrier, asker, pair


def test_carrier_sees_no_key(carried):
    carrier, _, pair = carried
    for _, message, answer in carrier.sent:
        for secret in (pair.state_key, pair.secret_key):
            assert secret not in message + answer


def test_request_is_answered_once_however_often_it_is_carried(scene, carried):
    carrier, _, _ = carried
    session_id, message, _ = carrier.sent[-1]
    with pytest.raises(SessionMessageReplayed):
        scene.host.ask("call_session", session_id, message)


def test_message_that_is_changed_or_carried_into_another_session_is_refused(scene, carried):
    carrier, _, _ = carried
    session_id, message, _ = carrier.sent[-1]
    later = bytearray(message)
    later[8] += 1
    with pytest.raises(SessionMessageForged):
        scene.host.ask("call_session", session_id, bytes(later))
    other = Carrier(scene.host.program)
    asker = Asker(scene.host.program, HEIR)
    asker._client._relay = other
    asker.ask("replicate_ephemeral_secret", epoch=2, view=scene.view())
    with pytest.raises((SessionMessageForged, SessionMessageReplayed)):
        scene.host.ask("call_session", other.sent[-1][0], message)


def test_answer_of_one_request_is_no_answer_to_another(scene, carried):
    carrier, asker, _ = carried
    kept = carrier.sent[-1][2]
    asker._client._relay = lambda *_: kept
    with pytest.raises(Rejected):
        asker.ask("get_or_create_keys", **REQUEST, view=scene.view())


def test_member_takes_secrets_from_no_enclave_but_one_that_the_policy_names(scene):
    stranger = scene.enclaves.start("km-9", MemoryFiles(), STRANGER)
    stranger.synchronize(scene.chain.block())
    del scene.files.blobs["master-0.sealed"]
    scene.host.restart()
    assert scene.host.ask("synchronize", scene.chain.block()).lacks_master
    with pytest.raises(QanatError):
        scene.host.ask("replicate", node_id("km-9"))
    status = decode_record(KeyManagerStatus, encode_record(scene.chain.status))
    assert scene.host.program._vault.master.generations < status.generation + 1
