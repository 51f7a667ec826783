"""The state by itself, as runtimes in Python use it, and what is asked for by its root."""

from pathlib import Path

import evm_native as native
import pytest

from tests.unit.native.chain import ACCOUNTS, Chain, address, environment


def put(store: native.Store, **items: bytes | None) -> native.Staged:
    changes = {key.encode(): value for key, value in items.items()}
    staged = store.stage(changes, version=store.version)
    staged.persist()
    return staged


def test_staged_changes_are_invisible_until_persisted_and_apply_elsewhere() -> None:
    store = native.Store.memory()
    staged = store.stage({b"a": b"1", b"b": b"2"}, version=0)
    assert (staged.version, store.version) == (1, 0)
    staged.persist()
    assert (store.root, store.get(b"a")) == (staged.root, b"1")
    second = put(store, a=None, c=b"3")
    replica = native.Store.memory()
    replica.apply(1, staged.diff, expect_root=staged.root)
    replica.apply(2, second.diff, expect_root=second.root)
    assert replica.scan() == [(b"b", b"2"), (b"c", b"3")]
    with pytest.raises(native.StateError):
        staged.persist()


def test_whoever_names_a_root_gets_that_state_or_none(tmp_path: Path) -> None:
    store = native.Store.open(tmp_path / "state")
    final = put(store, owner=b"alice").root
    store.rollback(0)
    forged = put(store, owner=b"mallory").root
    assert store.get(b"owner", version=1) == b"mallory"
    assert store.get(b"owner", version=1, root=forged) == b"mallory"
    for ask in (
        lambda: store.get(b"owner", version=1, root=final),
        lambda: store.scan(version=1, root=final),
        lambda: store.stage({b"x": b"y"}, version=1, root=final),
    ):
        with pytest.raises(native.StateError, match="another root"):
            ask()


def test_the_engine_reads_under_the_root_that_it_is_given() -> None:
    chain = Chain()
    final = chain.store.root
    account = address(ACCOUNTS[0])
    wrong = bytes(32)
    engine, version = chain.engine, chain.round
    assert engine.account(account, version, root=final) == engine.account(account)
    asks = [
        lambda: engine.account(account, version, root=wrong),
        lambda: engine.code(account, version, root=wrong),
        lambda: engine.storage(account, bytes(32), version, root=wrong),
        lambda: engine.min_gas_price(version, root=wrong),
        lambda: engine.fees(version, root=wrong),
        lambda: engine.check([], version=version, root=wrong),
        lambda: engine.execute(environment(version + 1, state_root=wrong), [], strict=False),
        lambda: engine.call(
            environment(version + 1, state_root=wrong),
            version=version,
            caller=account,
            to=account,
            gas=100_000,
            gas_price=0,
            value=0,
            data=b"",
        ),
    ]
    for ask in asks:
        with pytest.raises(native.StateError, match="another root"):
            ask()
    engine.execute(environment(version + 1, state_root=final), [], strict=False).persist()
