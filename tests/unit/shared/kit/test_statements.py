"""Statements past SQLAlchemy: the same transaction, nothing lost on the way."""

import pytest
import sqlalchemy
from sqlalchemy import (
    Column,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    bindparam,
    delete,
    insert,
    select,
)

from shared.kit.statements import driver_of, prepare

items = Table(
    "items", MetaData(), Column("key", Integer, primary_key=True), Column("value", LargeBinary)
)
ADD = prepare(insert(items))
DROP = prepare(delete(items).where(items.c.key <= bindparam("at")))


@pytest.fixture
def connection():
    engine = sqlalchemy.create_engine("sqlite://", poolclass=sqlalchemy.StaticPool)
    items.metadata.create_all(engine)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def stored(connection):
    with connection.begin():
        return [tuple(row) for row in connection.execute(select(items))]


def test_what_the_driver_wrote_sqlalchemy_reads(connection):
    driver = driver_of(connection)
    with driver:
        driver.execute(ADD, {"key": 1, "value": b"\x00\xff"})
        driver.executemany(ADD, [{"key": 2, "value": None}, {"key": 3, "value": b""}])
        driver.executemany(ADD, [])
    assert stored(connection) == [(1, b"\x00\xff"), (2, None), (3, b"")]
    with driver:
        driver.execute(DROP, {"at": 2})
    assert stored(connection) == [(3, b"")]


def test_an_error_takes_back_all_of_a_transaction(connection):
    driver = driver_of(connection)
    with pytest.raises(KeyError), driver:
        driver.execute(ADD, {"key": 1, "value": b""})
        raise KeyError
    assert stored(connection) == []


def test_both_share_one_transaction(connection):
    driver = driver_of(connection)
    with pytest.raises(KeyError), driver:
        driver.execute(ADD, {"key": 1, "value": b""})
        connection.execute(insert(items), {"key": 2, "value": b""})
        raise KeyError
    connection.rollback()
    assert stored(connection) == []


def test_a_statement_that_holds_a_value_is_refused():
    with pytest.raises(ValueError, match="key_1"):
        prepare(delete(items).where(items.c.key == 7))


def test_another_database_has_no_driver_of_sqlite():
    class Foreign:
        class connection:  # noqa: N801
            driver_connection = object()

    with pytest.raises(TypeError, match="object"):
        driver_of(Foreign)
