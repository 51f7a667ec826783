"""The consensus database against a list of dictionaries, also after going back."""

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from services.consensus.abci import BlockResult
from services.consensus.store import Store
from shared.api.consensus import BlockEvents
from shared.crypto.state_tree import StateTree

KEYS = st.binary(max_size=2)
CHANGES = st.dictionaries(KEYS, st.none() | st.binary(max_size=3), max_size=8)


class StoreMachine(RuleBasedStateMachine):
    """Blocks that change the state, rollbacks, and a memory that is lost now and then."""

    @initialize(first_height=st.integers(1, 100))
    def begin(self, first_height: int) -> None:
        self.store = Store()
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

    @rule()
    def forget_what_is_in_memory(self) -> None:
        self.store._trees.clear()
        self.store._events.clear()

    @invariant()
    def every_version_is_the_models(self) -> None:
        for offset, version in enumerate(self.versions):
            height = self.first_height + offset
            tree = self.store.load_tree(height)
            assert dict(tree.items()) == version
            assert tree.root == StateTree.empty().with_changes(version).root
            assert self.store.load_result(height).app_hash == tree.root
            assert self.store.load_events(height).height == height
        assert len(self.store.load_tree()) == len(self.versions[-1] if self.versions else {})

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()


StoreMachine.TestCase.settings = settings(max_examples=30, stateful_step_count=15, deadline=None)
TestStore = StoreMachine.TestCase
