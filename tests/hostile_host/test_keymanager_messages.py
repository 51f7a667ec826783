"""The key manager's enclave under messages, proofs and files of any form."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.keymanager.enclave.protocol import KeyManagerEnclaveApi
from shared.encoding.contract import methods_of
from shared.errors import MethodNotFound, PeerFailed, QanatError, Rejected
from shared.types.key_requests import ChainView
from tests.support.compute_nodes import key_manager_policy
from tests.support.keymanager import COMPUTE, PARATIME_ID, MemoryFiles
from tests.support.keymanager_enclaves import Asker, Enclaves
from tests.support.lying_host import VALUES, LyingHost, flipped

METHODS = sorted(methods_of(KeyManagerEnclaveApi))


class Scene:
    """A key manager with a master secret and one of epoch 2, under a host that lies."""

    def __init__(self) -> None:
        self.enclaves = Enclaves(policy=key_manager_policy())
        self.files = MemoryFiles()
        self.host = LyingHost(
            KeyManagerEnclaveApi,
            lambda: self.enclaves.start("km", self.files),
            Path("/nonexistent"),
        )
        self.show_registered()
        chain = self.enclaves.chain
        master = self.host.program.generate_master_secret()
        chain.publish(master)
        self.enclaves.show_block()
        chain.accept_master(master)
        self.enclaves.show_block()
        chain.publish(self.host.program.generate_ephemeral_secret(2))
        self.enclaves.show_block()

    def _start(self):
        return self.enclaves.start("km", self.files)

    def show_registered(self) -> None:
        self.enclaves.show_block()
        self.enclaves.register("km")
        self.enclaves.show_block()

    def long_term_keys(self):
        """What a listed enclave gets."""
        program = self.host.program
        return Asker(program, COMPUTE).ask(
            "get_or_create_keys",
            runtime_id=PARATIME_ID,
            key_pair_ids=(b"k" * 32,),
            generation=0,
            view=ChainView(program.latest.height, program.latest.time_ns),
        )


@pytest.fixture(scope="module")
def shared_scene():
    return Scene()


@pytest.fixture
def scene():
    return Scene()


@pytest.mark.parametrize("method", METHODS)
@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_no_message_meets_a_bug_in_a_key_manager(shared_scene, method, data):
    names = methods_of(KeyManagerEnclaveApi)[method].parameters
    shaped = st.fixed_dictionaries(dict.fromkeys(names, VALUES))
    body = data.draw(shaped | VALUES)
    try:
        shared_scene.host.send(method, body)
    except PeerFailed as bug:
        raise AssertionError(f"{method} {body!r}: {bug.message}") from bug
    except QanatError:
        pass


def test_what_is_no_message_of_a_key_manager_is_refused(scene):
    for name in ("rewind", "rek_secret", "_vault", "observe", "sealer", "rak", "enter_incarnation"):
        with pytest.raises(MethodNotFound):
            scene.host.send(name, {})


def test_a_changed_proof_moves_no_key_manager(scene):
    keys = scene.long_term_keys()
    proven = scene.enclaves.chain.block()
    header = proven.light_block.header
    forged = [
        replace(proven, state_proof=flipped(proven.state_proof)),
        replace(proven, meta=replace(proven.meta, transaction=flipped(proven.meta.transaction))),
        replace(
            proven,
            light_block=replace(
                proven.light_block, header=replace(header, time_ns=header.time_ns + 1)
            ),
        ),
    ]
    for place, (key, value) in enumerate(proven.items):
        changed = b"\xa0" if value is None else flipped(value)
        items = (*proven.items[:place], (key, changed), *proven.items[place + 1 :])
        forged.append(replace(proven, items=items))
    for one in forged:
        with pytest.raises(Rejected):
            scene.host.ask("synchronize", one)
    scene.host.ask("synchronize", proven)
    assert scene.long_term_keys() == keys


def test_changed_and_swapped_blobs_give_other_keys_to_nobody(scene):
    keys = scene.long_term_keys()
    blobs = dict(scene.files.blobs)
    assert len(blobs) >= 2
    forged = [{**blobs, name: flipped(blob)} for name, blob in blobs.items()]
    forged += [{**blobs, name: b""} for name in blobs]
    forged += [{**blobs, one: blobs[other]} for one in blobs for other in blobs if one != other]
    forged += [{name: blob for name, blob in blobs.items() if name != gone} for gone in blobs]
    forged.append({})
    for files in forged:
        scene.files.blobs = dict(files)
        try:
            scene.host.restart()
            scene.show_registered()
            assert scene.long_term_keys() == keys
        except QanatError:
            pass
    scene.files.blobs = dict(blobs)
    scene.host.restart()
    scene.show_registered()
    assert scene.long_term_keys() == keys
