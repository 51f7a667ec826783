import pytest

from services.gateway.index.log_filter import LogFilter, bloom_bits, is_in_bloom
from tests.support.rounds import make_record, make_round

ADDRESS, OTHER = b"\x01" * 20, b"\x02" * 20
A, B = b"\xaa" * 32, b"\xbb" * 32
ANY = frozenset()


def test_bloom_of_a_known_address():
    bits = bloom_bits(ADDRESS)
    assert 1 <= bits.bit_count() <= 3
    assert is_in_bloom(bits, ADDRESS)
    assert not is_in_bloom(0, ADDRESS)


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        (LogFilter(), 3),
        (LogFilter(frozenset({ADDRESS})), 2),
        (LogFilter(frozenset({b"\x03" * 20})), 0),
        (LogFilter(ANY, (frozenset({A}),)), 2),
        (LogFilter(ANY, (frozenset({A, B}),)), 2),
        (LogFilter(ANY, (ANY,)), 2),
        (LogFilter(ANY, (ANY, frozenset({B}))), 1),
        (LogFilter(ANY, (ANY, ANY, ANY)), 0),
        (LogFilter(frozenset({OTHER}), (frozenset({A}),)), 1),
    ],
)
def test_select(wanted, count):
    record = make_record(1, logs=[(ADDRESS, (), b""), (ADDRESS, (A, B), b"x"), (OTHER, (A,), b"y")])
    assert len(list(wanted.select(make_round(1, record)))) == count


def test_round_without_logs_is_not_read():
    assert list(LogFilter().select(make_round(1, make_record(1)))) == []
