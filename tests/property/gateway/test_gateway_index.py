"""The memory of the index against a list, and the log filter against its definition."""

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.gateway.index.log_filter import LogFilter, bloom_bits, is_in_bloom
from services.gateway.index.recent import RecentRounds
from services.gateway.rpc import objects
from services.gateway.rpc import parameters as read
from services.gateway.rpc.parameters import BadParameter
from services.gateway.rpc.shapes import show_checksummed
from tests.support.rounds import make_record, make_round
from tests.support.short_run import examples

ADDRESSES = [bytes([n]) * 20 for n in range(3)]
TOPICS = [bytes([n]) * 32 for n in range(3)]


class RecentMachine(RuleBasedStateMachine):
    """Adds, drops and rewinds in any order; a plain list says what must be there."""

    def __init__(self):
        super().__init__()
        self.recent = RecentRounds(max_rounds=5, max_bytes=40_000)
        self.chain = []
        self.durable = -1
        self.fork = 0

    @rule(transactions=st.integers(0, 3))
    def add(self, transactions):
        number = len(self.chain)
        previous = self.chain[-1].hash if self.chain else bytes(32)
        records = [make_record((number, self.fork, n)) for n in range(transactions)]
        one = make_round(number, *records, previous=previous, fork=self.fork)
        self.recent.add(one)
        self.chain.append(one)

    @precondition(lambda self: self.chain)
    @rule(data=st.data())
    def make_durable(self, data):
        self.durable = data.draw(st.integers(self.durable, len(self.chain) - 1))
        self.recent.drop_old(self.durable)

    @precondition(lambda self: len(self.recent) > 1)
    @rule(data=st.data())
    def rewind(self, data):
        number = data.draw(st.integers(self.recent.oldest_number, len(self.chain) - 1))
        self.recent.rollback(number)
        del self.chain[number + 1 :]
        self.durable = min(self.durable, number)
        self.fork += 1

    @invariant()
    def newest_is_the_end_of_the_list(self):
        assert self.recent.newest == (self.chain[-1] if self.chain else None)

    @invariant()
    def held_rounds_are_the_end_of_the_list(self):
        held = self.chain[self.recent.oldest_number :]
        assert len(held) == len(self.recent)
        assert list(self.recent.between(0, len(self.chain))) == held
        for one in held:
            assert self.recent.find_by_hash(one.hash) is one
            for transaction in one.transactions:
                assert self.recent.find_transaction(transaction.record.hash) is transaction

    @invariant()
    def what_is_not_durable_is_held(self):
        assert not self.chain or self.recent.oldest_number <= self.durable + 1

    @invariant()
    def memory_is_bounded_by_what_is_not_durable(self):
        waiting = len(self.chain) - 1 - self.durable
        assert self.durable < 0 or len(self.recent) <= max(5, waiting + 5)


RecentMachine.TestCase.settings = settings(
    max_examples=examples(60), stateful_step_count=30, deadline=None
)
TestRecentRounds = RecentMachine.TestCase

LOGS = st.tuples(
    st.sampled_from(ADDRESSES), st.lists(st.sampled_from(TOPICS), max_size=4), st.just(b"")
)
SETS = st.frozensets(st.sampled_from(TOPICS), max_size=2)


@given(
    logs=st.lists(LOGS, max_size=6),
    addresses=st.frozensets(st.sampled_from(ADDRESSES), max_size=2),
    topics=st.lists(SETS, max_size=4),
)
@settings(deadline=None)
def test_filter_agrees_with_its_definition(logs, addresses, topics):
    one = make_round(1, make_record(1, logs=logs))
    expected = [
        position
        for position, (address, its_topics, _) in enumerate(logs)
        if (not addresses or address in addresses)
        and len(its_topics) >= len(topics)
        and all(not wanted or its_topics[i] in wanted for i, wanted in enumerate(topics))
    ]
    found = LogFilter(addresses, tuple(topics)).select(one)
    assert [log.index for log in found] == expected


@given(items=st.lists(st.binary(min_size=20, max_size=32), min_size=1, max_size=20))
def test_bloom_never_denies_what_is_in_it(items):
    bloom = 0
    for item in items:
        bloom |= bloom_bits(item)
    assert all(is_in_bloom(bloom, item) for item in items)


@given(number=st.integers(0, 2**256 - 1))
def test_quantities_round_trip(number):
    assert read.quantity(hex(number)) == number


@given(raw=st.binary(max_size=100))
def test_data_round_trips(raw):
    assert read.data("0x" + raw.hex()) == raw


@given(value=st.text(max_size=80))
def test_readers_raise_nothing_but_bad_parameter(value):
    for reader in (
        read.quantity, read.data, read.address, read.hash32, read.slot, read.block_id,
        read.any_block_id, objects.call_request, objects.log_query, objects.access_list,
        read.count, read.percentiles,
    ):  # fmt: skip
        try:
            reader(value)
        except BadParameter as error:
            assert str(error)


@given(address=st.binary(min_size=20, max_size=20))
def test_checksum_case_is_that_of_eth_utils(address):
    from eth_utils import to_checksum_address

    assert show_checksummed(address) == to_checksum_address(address)
