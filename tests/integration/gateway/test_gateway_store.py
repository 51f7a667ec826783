"""The SQL index, on SQLite and on PostgreSQL alike."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import inspect, text

from services.gateway import database
from services.gateway.database import DatabaseUnusable, open_database
from services.gateway.index import chain_index
from services.gateway.index.chain_index import ENOUGH_ROWS, ChainIndex, NoRoundYet
from services.gateway.index.log_filter import LogFilter
from services.gateway.index.recent import RecentRounds
from services.gateway.index.record import NATIVE_TYPE
from services.gateway.schema import HEAD, metadata
from services.gateway.store import BlockStore
from tests.support.fake_compute import RUNTIME_ID
from tests.support.gateway import DATABASES, postgres_schema
from tests.support.rounds import digest, make_chain, make_record, make_round
from tests.support.short_run import examples
from tests.support.turns import until

ADDRESSES = [bytes([n]) * 20 for n in range(3)]
TOPICS = [bytes([n]) * 32 for n in range(3)]


@pytest.fixture(params=DATABASES)
async def url(request, tmp_path):
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'index.sqlite'}"
    else:
        async with postgres_schema() as url:
            yield url


@pytest.fixture
def store(url):
    store = BlockStore(url, RUNTIME_ID)
    yield store
    store.close()


def logs_of(number):
    if number % 2:
        return ()
    logs = [(ADDRESSES[number % 3], TOPICS[: number % 4], b"data%d" % number)] * 2
    return (make_record(number, logs=logs), make_record(-number - 1, logs=logs[:1]))


def test_rounds_come_back_as_they_went(store):
    chain = make_chain(6, logs_of)
    store.save_rounds(chain)
    for one in chain:
        assert store.load_round(one.number) == one
        assert store.load_round_by_hash(one.hash) == one
        for transaction in one.transactions:
            assert store.load_transaction(transaction.record.hash) == transaction
    assert store.load_newest(2) == chain[-2:]
    assert store.load_bounds() == (0, 5)


def test_empty_store(store):
    assert store.load_bounds() is None
    assert store.load_newest(3) == []
    assert store.load_round(0) is None
    assert store.load_round_by_hash(bytes(32)) is None
    assert store.load_transaction(bytes(32)) is None
    assert store.load_logs(LogFilter(), 0, 100) == []


def test_a_batch_is_saved_whole_or_not_at_all(store):
    chain = make_chain(3, logs_of)
    store.save_rounds(chain[:2])
    from sqlalchemy.exc import IntegrityError

    with pytest.raises(IntegrityError):
        store.save_rounds([chain[2], chain[1]])
    assert store.load_bounds() == (0, 1)


def test_rollback_forgets_rounds_transactions_and_logs(store):
    chain = make_chain(10, logs_of)
    store.save_rounds(chain)
    store.rollback(4)
    assert store.load_bounds() == (0, 4)
    assert store.load_transaction(chain[6].transactions[0].record.hash) is None
    assert {log.round for log in store.load_logs(LogFilter(), 0, 100)} == {0, 2, 4}
    store.save_rounds(chain[5:])
    assert store.load_newest(10) == chain


def forked(number, previous):
    return make_round(number, make_record(("fork", number)), previous=previous.hash, fork=1)


def all_of(store, chain, others):
    """Check that a store has the rounds of a chain and none of some others."""
    assert store.load_newest(100) == chain
    assert store.load_bounds() == (chain[0].number, chain[-1].number)
    logged = {log.round_hash for one in chain for log in one.logs()}
    assert {log.round_hash for log in store.load_logs(LogFilter(), 0, 100)} == logged
    for one in others:
        assert store.load_round_by_hash(one.hash) is None
        for transaction in one.transactions:
            assert store.load_transaction(transaction.record.hash) is None
    named = {one.record.sender for round_ in chain for one in round_.transactions}
    assert named <= store.load_accounts()
    absent = {one.record.sender for round_ in others for one in round_.transactions} - named
    assert not absent & store.load_accounts()


def test_void_rounds_are_nowhere_until_others_take_their_places(url, store):
    """Also after a restart, and after going back once more while some are left."""
    chain = make_chain(12, lambda n: (make_record(n, logs=[(ADDRESSES[n % 3], (), b"")]),))
    store.save_rounds(chain)
    store.rollback(3)
    kept, void = chain[:4], chain[4:]
    all_of(store, kept, void)
    for number in range(4, 7):
        kept = [*kept, forked(number, kept[-1])]
        store.save_rounds(kept[-1:])
        all_of(store, kept, void)
    store.close()
    store = BlockStore(url, RUNTIME_ID)
    all_of(store, kept, void)
    store.rollback(9)
    all_of(store, kept, void)
    store.rollback(5)
    kept, void = kept[:6], [*void, kept[6]]
    all_of(store, kept, void)
    others = [forked(number, kept[-1]) for number in range(6, 15)]
    store.save_rounds(others)
    kept, void = [*kept, *others], [one for one in void if one not in others]
    all_of(store, kept, void)
    store.close()
    engine = open_database(url)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT newest_valid FROM runtimes")) is None
        for table, count in (("rounds", 15), ("transactions", 15), ("logs", 4)):
            assert connection.scalar(text(f"SELECT count(*) FROM {table}")) == count  # noqa: S608
    engine.dispose()


def test_rounds_that_begin_later_leave_no_void_ones_before_them(store):
    chain = make_chain(9, logs_of)
    store.save_rounds(chain[:6])
    store.rollback(-1)
    assert store.load_bounds() is None
    store.save_rounds(chain[4:5])
    assert store.load_newest(100) == chain[4:5]
    store.save_rounds(chain[5:])
    assert store.load_newest(100) == chain[4:]


def test_runtimes_do_not_see_each_other(url, store):
    store.save_rounds(make_chain(3, logs_of))
    other = BlockStore(url, bytes(32))
    try:
        assert other.load_bounds() is None
        other.save_rounds(make_chain(2, logs_of))
        other.rollback(-1)
        assert store.load_bounds() == (0, 2)
    finally:
        other.close()


def test_transactions_of_an_account_come_in_whole_rounds(store):
    """The same receiver twice in each even round, and a native one of his that is not shown."""
    mine = make_record(7)
    store.save_rounds(
        make_chain(
            6,
            lambda number: (
                ()
                if number % 2
                else (mine, make_record(8), mine, make_record(7, type_=NATIVE_TYPE))
            ),
        )
    )
    account = digest("to", 7)[:20]

    def places(first, last, count, *, newest_first):
        found, has_more = store.load_transactions_of(
            account, first, last, count, newest_first=newest_first
        )
        return [(one.round, one.position) for one in found], has_more

    assert places(0, 5, 1, newest_first=True) == ([(4, 2), (4, 0)], True)
    assert places(0, 3, 3, newest_first=False) == ([(0, 0), (0, 2), (2, 0), (2, 2)], False)
    assert places(1, 1, 3, newest_first=True) == ([], False)


@pytest.mark.parametrize("is_empty", [True, False], ids=["made at once", "migrated"])
def test_migrations_make_exactly_the_tables_that_the_code_uses(url, is_empty, monkeypatch):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    if not is_empty:
        monkeypatch.setattr(database, "_create_tables", database._migrate)
    engine = open_database(url)
    try:
        with engine.connect() as connection:
            context = MigrationContext.configure(connection)
            assert compare_metadata(context, metadata) == []
            assert context.get_current_revision() == HEAD
    finally:
        engine.dispose()


def test_opening_again_changes_nothing(url):
    open_database(url).dispose()
    engine = open_database(url)
    assert "rounds" in inspect(engine).get_table_names()
    engine.dispose()


def test_database_of_a_newer_gateway_is_refused(url):
    engine = open_database(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(DatabaseUnusable, match="another version"):
        open_database(url)


def test_file_that_is_no_database_is_refused(tmp_path):
    path = tmp_path / "index.sqlite"
    path.write_bytes(b"this is no database" * 100)
    with pytest.raises(DatabaseUnusable, match="not a database"):
        open_database(f"sqlite:///{path}")


@pytest.mark.parametrize("url", ["", "nothing", "mystery://host/db"])
def test_url_that_names_no_database_is_refused(url):
    with pytest.raises(DatabaseUnusable, match="not a database URL"):
        open_database(url)


def test_server_that_is_not_there_is_named_without_its_password():
    with pytest.raises(DatabaseUnusable) as refused:
        open_database("postgresql+psycopg://someone:s3cret@127.0.0.1:1/index")
    assert "127.0.0.1:1/index" in refused.value.message
    assert "s3cret" not in refused.value.message


# -- memory and database together --------------------------------------------------------------


def sets_of(items):
    return st.frozensets(st.sampled_from(items), max_size=2)


FILTERS = st.builds(
    LogFilter, addresses=sets_of(ADDRESSES), topics=st.lists(sets_of(TOPICS), max_size=4).map(tuple)
)


@given(wanted=FILTERS, first=st.integers(0, 45), length=st.integers(0, 45))
@settings(max_examples=examples(60), deadline=None)
def test_logs_are_the_same_from_memory_database_or_both(shared_index, wanted, first, length):
    index, chain = shared_index
    expected = [
        log
        for one in chain[first : first + length + 1]
        for log in one.logs()
        if wanted.is_match(log)
    ]
    found = asyncio.run(index.find_logs(wanted, first, first + length))
    assert found == expected


@pytest.fixture(scope="module")
def shared_index(tmp_path_factory):
    path = tmp_path_factory.mktemp("index") / "index.sqlite"
    store = BlockStore(f"sqlite:///{path}", RUNTIME_ID)
    chain = make_chain(40, logs_of)

    async def fill():
        index = ChainIndex(store, RecentRounds(10, 10**9))
        for one in chain:
            index.append(one)
        await index.flush()
        return index

    index = asyncio.run(fill())
    yield index, chain
    store.close()


async def test_old_rounds_come_from_the_database(store):
    index = ChainIndex(store, RecentRounds(4, 10**9))
    chain = make_chain(20, logs_of)
    for one in chain:
        index.append(one)
    await index.flush()
    for one in chain:
        assert await index.find_round(one.number) == one
        assert await index.find_round_by_hash(one.hash) == one
        for transaction in one.transactions:
            assert await index.find_transaction(transaction.record.hash) == transaction
    assert await index.find_round(20) is None
    assert await index.find_transaction(bytes(32)) is None


async def test_restart_goes_on_where_the_database_ends(store):
    chain = make_chain(10, logs_of)
    first = ChainIndex(store, RecentRounds(4, 10**9))
    for one in chain[:7]:
        first.append(one)
    await first.flush()
    # What was not flushed is lost with the process, and comes again from the nodes.
    for one in chain[7:]:
        first.append(one)
    second = ChainIndex(store, RecentRounds(4, 10**9))
    await second.open(warm_rounds=3)
    assert second.newest == chain[6]
    assert (second.first_number, second.durable_number) == (0, 6)
    for one in chain[7:]:
        second.append(one)
    await second.flush()
    assert store.load_bounds() == (0, 9)


async def test_rollback_below_the_memory(store):
    chain = make_chain(20, logs_of)
    index = ChainIndex(store, RecentRounds(3, 10**9))
    rewinds = []
    index.listen_to_rewinds(lambda number, dropped: rewinds.append((number, dropped)))
    for one in chain:
        index.append(one)
    await index.flush()
    await index.rollback(5)
    assert index.newest == chain[5]
    ((number, dropped),) = rewinds
    assert number == 5
    assert dropped == chain[-len(dropped) :]
    assert dropped
    fork = make_round(6, make_record("fork"), previous=chain[5].hash, fork=1)
    index.append(fork)
    await index.flush()
    assert await index.find_round(6) == fork
    assert await index.find_round(7) is None
    assert await index.find_transaction(digest("tx", "fork")) is not None


async def test_nothing_is_known_before_the_first_round(store):
    index = ChainIndex(store, RecentRounds(3, 10**9))
    await index.open(warm_rounds=5)
    assert await index.find_round(0) is None
    assert await index.find_logs(LogFilter(), 0, 10) == []
    with pytest.raises(NoRoundYet):
        index.require_newest()


async def test_writer_that_is_cancelled_leaves_nothing_half_done(store):
    index = ChainIndex(store, RecentRounds(100, 10**9))
    for one in make_chain(50, logs_of):
        index.append(one)
    writer = asyncio.create_task(index.flush())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    writer.cancel()
    await asyncio.gather(writer, return_exceptions=True)
    await index.flush()
    assert store.load_bounds() == (0, 49)


async def test_rounds_wait_for_each_other_and_not_for_more_than_enough(store, monkeypatch):
    written = []
    save_rounds = store.save_rounds

    def save(batch):
        save_rounds(batch)
        written.append(len(batch))

    monkeypatch.setattr(store, "save_rounds", save)
    monkeypatch.setattr(chain_index, "GATHER_S", 3600)
    index = ChainIndex(store, RecentRounds(500, 10**9))
    chain = make_chain(3 * ENOUGH_ROWS)
    writer = asyncio.create_task(index.write_rounds())
    for one in chain[: ENOUGH_ROWS - 1]:
        index.append(one)
    await asyncio.sleep(0.05)
    assert not written
    for one in chain[ENOUGH_ROWS - 1 :]:
        index.append(one)
    await until(lambda: index.durable_number == chain[-1].number)
    assert sum(written) == len(chain)
    assert len(written) <= 3
    monkeypatch.setattr(chain_index, "GATHER_S", 0.01)
    index.append(make_round(len(chain)))
    await asyncio.sleep(0.05)
    assert index.durable_number == chain[-1].number
    index.append(make_round(len(chain) + 1, make_record("transaction")))
    await until(lambda: index.durable_number == len(chain) + 1)
    writer.cancel()
    await asyncio.gather(writer, return_exceptions=True)


async def test_transactions_of_another_format_keep_their_places_and_are_found_apart(store):
    logs = [(ADDRESSES[0], TOPICS[:1], b"data")]
    native = make_record("native", logs=logs, type_=NATIVE_TYPE)
    before, after = make_record("before"), make_record("after", logs=logs)
    round_ = make_round(0, before, native, after)
    assert [one.position for one in round_.transactions] == [0, 2]
    assert [one.position for one in round_.natives] == [1]
    # No event of it is shown, and none of others is counted from it.
    (log,) = round_.logs()
    assert (log.position, log.index) == (2, 0)
    assert round_.at(1) is None
    store.save_rounds([round_])
    assert store.load_round(0) == round_
    assert [one.position for one in store.load_logs(LogFilter(), 0, 0)] == [2]
    index = ChainIndex(store, RecentRounds(1, 1 << 20))
    await index.open(1)
    for _ in range(2):
        assert await index.find_transaction(digest("tx", "native")) is None
        found = await index.find_native(digest("tx", "native"))
        assert found == round_.natives[0]
        assert await index.find_native(digest("tx", "after")) is None
        # Memory lets go of the round; the database has it.
        index.append(make_round(index.newest.number + 1))
        await index.flush()
