"""A key manager that is not the one of the policy, and a host that changes what it says."""

from dataclasses import replace

import pytest

from services.compute.enclave.protocol import ComputeEnclaveApi
from shared.errors import PeerFailed, QanatError
from tests.support.compute_nodes import raw
from tests.support.enclave_bench import (
    Bench,
    KeyManagerNode,
    first_changes,
    key_manager_policy,
    key_manager_runtime,
)
from tests.support.keymanager import KEY_MANAGER, SIGNERS, STRANGER
from tests.support.lying_host import LyingHost, flipped


def hosted(bench, directory) -> LyingHost:
    """A host whose enclave has been shown the chain, and that it is registered."""
    host = LyingHost(ComputeEnclaveApi, lambda: bench.program("a", directory), directory)
    host.ask("initialize", bench.chain.prove(bench.keys))
    host.ask("apply", tuple(first_changes(bench.chain)))
    bench.join("a", host.program)
    return host


def gives_no_keys(host) -> None:
    for method, args in (
        ("prepare_epoch", (2,)),
        ("fetch_call_data_key", ()),
        ("execute", (2, (raw(0),))),
    ):
        with pytest.raises(QanatError) as refusal:
            host.ask(method, *args)
        assert not isinstance(refusal.value, PeerFailed)


def test_an_enclave_that_only_the_owner_lists_is_no_key_manager(tmp_path):
    """The descriptor is its owner's word; the policy carries the signers'."""
    bench = Bench(
        key_manager=KeyManagerNode(identity=STRANGER),
        descriptor=key_manager_runtime(KEY_MANAGER, STRANGER),
    )
    gives_no_keys(hosted(bench, tmp_path))


def test_the_same_enclave_is_one_where_the_signers_list_it(tmp_path):
    bench = Bench(
        key_manager=KeyManagerNode(identity=STRANGER),
        descriptor=key_manager_runtime(KEY_MANAGER, STRANGER),
        policy=key_manager_policy(STRANGER),
    )
    assert hosted(bench, tmp_path).ask("execute", 2, (raw(0),)).included == (0,)


@pytest.mark.parametrize(
    "policy",
    [
        key_manager_policy(signers=SIGNERS[:1]),
        key_manager_policy(signers=(SIGNERS[0], SIGNERS[0])),
        key_manager_policy(compute=STRANGER),
        replace(key_manager_policy(), untrusted_raw_value=b"\xa0"),
        replace(key_manager_policy(), signatures=()),
    ],
    ids=["one signer", "one signer twice", "for another enclave", "other content", "unsigned"],
)
def test_a_policy_that_is_not_the_signers_gives_no_keys(tmp_path, policy):
    bench = Bench()
    bench.chain.forge_policy(policy)
    gives_no_keys(hosted(bench, tmp_path))


def test_a_policy_that_may_not_be_followed_leaves_the_one_before_in_force(tmp_path):
    bench = Bench()
    host = hosted(bench, tmp_path)
    for policy in (key_manager_policy(STRANGER, signers=SIGNERS[:1]), None):
        bench.chain.forge_policy(policy)
        host.ask("initialize", bench.chain.prove(bench.keys))
    host.ask("prepare_epoch", 2)


class Tampering:
    """A relay that changes one message on its way there or back."""

    def __init__(self, key_manager, tamper) -> None:
        self._key_manager, self._tamper = key_manager, tamper
        self.count = 0

    def call_session(self, session_id: bytes, message: bytes) -> bytes:
        there, back = self.count, self.count + 1
        self.count += 2
        answer = self._key_manager.call_session(session_id, self._tamper(there, message))
        return self._tamper(back, answer)


@pytest.mark.parametrize("position", [0, 10, -1])
@pytest.mark.parametrize("step", range(8))
def test_a_message_that_was_changed_gives_no_keys_or_the_right_ones(tmp_path, step, position):
    bench = Bench()
    expected = bench.start("b").fetch_call_data_key()
    honest = bench.key_manager
    bench.key_manager = Tampering(
        honest, lambda now, message: flipped(message, position) if now == step else message
    )
    host = hosted(bench, tmp_path)
    try:
        assert host.ask("fetch_call_data_key") == expected
    except QanatError as refusal:
        assert not isinstance(refusal, PeerFailed)
    # The next session, over an honest host, is as good as ever.
    assert host.ask("fetch_call_data_key") == expected


@pytest.mark.parametrize("said", [b"", b"\x00" * 200, b"\xff" * 5000])
def test_whatever_a_host_says_for_a_key_manager_gives_no_keys(tmp_path, said):
    bench = Bench()
    bench.key_manager = Tampering(bench.key_manager, lambda now, m: said if now % 2 else m)
    gives_no_keys(hosted(bench, tmp_path))


def test_answers_of_one_session_are_nothing_in_another(tmp_path):
    bench = Bench()
    recorded: list[bytes] = []
    honest = bench.key_manager
    bench.key_manager = Tampering(honest, lambda now, m: recorded.append(m) or m if now % 2 else m)
    host = hosted(bench, tmp_path)
    host.ask("prepare_epoch", 2)
    host.stop()
    replayed = iter(recorded)
    bench.key_manager = Tampering(honest, lambda now, m: next(replayed, b"") if now % 2 else m)
    gives_no_keys(hosted(bench, tmp_path))
