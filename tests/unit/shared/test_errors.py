import pytest

from shared.errors import (
    BadRequest,
    PeerUnavailable,
    QanatError,
    Rejected,
    RuntimeRejected,
    Unavailable,
    error_from,
)


def test_code_of_one_class_is_refused_to_another() -> None:
    with pytest.raises(TypeError, match="is taken by BadRequest"):

        class Usurper(Rejected, module="request", code=1):
            pass


def test_error_that_crossed_a_boundary_is_of_the_same_class() -> None:
    error = error_from("request", 1, "no such field")
    assert type(error) is BadRequest
    assert error.message == "no such field"


def test_class_whose_constructor_takes_more_is_rebuilt_all_the_same() -> None:
    class TakesTwo(Rejected, module="test-only", code=1):
        def __init__(self, got: int, expected: int) -> None:
            super().__init__(f"{got}, expected {expected}")

    error = error_from("test-only", 1, str(TakesTwo(1, 2)))
    assert type(error) is TakesTwo
    assert error.message == "1, expected 2"


def test_unknown_pair_is_a_runtime_failure_with_its_data() -> None:
    error = error_from("evm", 8, "reverted: ", b"\x08\xc3\x79\xa0")
    assert type(error) is RuntimeRejected
    assert (error.module, error.code, error.data) == ("evm", 8, b"\x08\xc3\x79\xa0")


def test_unknown_pair_keeps_its_branch() -> None:
    error = error_from("keys", 9999, "not yet", may_retry=True)
    assert isinstance(error, Unavailable)
    assert (error.module, error.code, error.message) == ("keys", 9999, "not yet")


def test_every_error_is_the_callers_fault_or_may_go_away() -> None:
    for kind in QanatError.by_code.values():
        assert issubclass(kind, Rejected) != issubclass(kind, Unavailable)
    assert issubclass(PeerUnavailable, Unavailable)
