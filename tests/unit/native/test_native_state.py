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


@pytest.mark.long
def test_a_pruned_store_stays_as_large_as_its_window_and_keeps_what_replicas_need(
    tmp_path: Path,
) -> None:
    path, replica, sizes = tmp_path / "state", native.Store.memory(), []
    store = native.Store.open(path)
    keys = [f"key {number}".encode() for number in range(1_000)]
    store.stage({key: bytes(50) for key in keys}, version=0).persist()
    roots = [store.root]
    for version in range(1, 601):
        changed = {keys[(version + 17 * n) % 1_000]: version.to_bytes(50, "big") for n in range(40)}
        store.stage(changed, version=version).persist()
        roots.append(store.root)
        while not store.prune(max(version - 50, 0), 256)[1]:
            pass
        if version % 200 == 0:
            sizes.append(path.stat().st_size)
    assert store.oldest == 550
    # 400 rounds of 40 keys: about 1 MB of changes, and none of the 13 MB of nodes. The file grows
    # by 3 MB at a time.
    assert sizes[2] - sizes[0] < 4 << 20
    for version, root in enumerate(roots, start=1):
        replica.apply(version, store.diff_at(version), expect_root=root)
    assert replica.root == store.root
    with pytest.raises(native.StateError, match="not kept"):
        store.get(keys[0], version=549)


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
