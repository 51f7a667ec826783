"""The consensus database against a list of dictionaries, also after going back and pruning."""

import tempfile

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from services.consensus.abci import BlockResult
from services.consensus.store import Store
from shared.api.consensus import BlockEvents, UnknownHeight
from shared.crypto.state_tree import StateTree
from tests.support.short_run import examples

KEYS = st.binary(max_size=2)
CHANGES = st.dictionaries(KEYS, st.none() | st.binary(max_size=3), max_size=8)


class StoreMachine(RuleBasedStateMachine):
    """Blocks that change the state, rollbacks, and a memory that is lost now and then."""

    @initialize(first_height=st.integers(1, 100))
    def begin(self, first_height: int) -> None:
        self.directory = tempfile.TemporaryDirectory()
        self.store = Store(f"{self.directory.name}/consensus.sqlite")
        self.first_height = first_height
        self.versions: list[dict[bytes, bytes]] = []

    @rule(changes=CHANGES)
    def add_block(self, changes: dict[bytes, bytes | None]) -> None:
        height = self.first_height + len(self.versions)
        tree = self.store.load_tree().with_changes(changes)
        self.store.save_block(
            height,
            result=BlockResult(tree.root, ()),
            tree=tree,
            changes=changes,
            events=BlockEvents(height, height, 0),
        )
        older = self.versions[-1] if self.versions else {}
        newer = older | changes
        self.versions.append({key: value for key, value in newer.items() if value is not None})

    @precondition(lambda self: self.versions)
    @rule(data=st.data())
    def go_back(self, data: st.DataObject) -> None:
        kept = data.draw(st.integers(1, len(self.versions)))
        self.store.rollback(self.first_height + kept - 1)
        del self.versions[kept:]

    @precondition(lambda self: self.versions)
    @rule(keep=st.integers(1, 6), most=st.integers(1, 4))
    def prune(self, keep: int, most: int) -> None:
        bounds = self.store.plan_pruning(keep, most)
        if bounds is not None:
            self.store.prune(*bounds)
            first, keep_from = bounds
            assert first == self.first_height
            assert keep_from - first <= most
            del self.versions[: keep_from - first]
            self.first_height = keep_from
        newest = self.first_height + len(self.versions) - 1
        assert newest == self.store.height

    @rule()
    def forget_what_is_in_memory(self) -> None:
        self.store._trees.clear()
        self.store._events.clear()

    @invariant()
    def every_version_is_the_models(self) -> None:
        for offset, version in enumerate(self.versions):
            height = self.first_height + offset
            tree = self.store.load_tree(height)
            assert self.store.load_old_tree(height).root == tree.root
            assert dict(tree.items()) == version
            assert tree.root == StateTree.empty().with_changes(version).root
            assert self.store.load_result(height).app_hash == tree.root
            assert self.store.load_events(height).height == height
        for height in (self.first_height - 1, self.first_height + len(self.versions)):
            with pytest.raises(UnknownHeight):
                self.store.load_old_tree(height)
        assert len(self.store.load_tree()) == len(self.versions[-1] if self.versions else {})

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            self.directory.cleanup()


StoreMachine.TestCase.settings = settings(
    max_examples=examples(30), stateful_step_count=15, deadline=None
)
TestStore = StoreMachine.TestCase
