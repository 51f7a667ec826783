from types import SimpleNamespace

import pytest

from services.compute.bundling import ASKED_S, MAX_ROUNDS, MOMENT_S, Bundle, Bundling


class Scene:
    """A clock, and what the node's loop is to be woken for."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.wakes: list[float] = []
        self.bundling = Bundling(lambda: self.now_s, self.wakes.append)

    def add(self, *rounds: int, epoch: int = 1) -> list[int] | None:
        headers = tuple(SimpleNamespace(round=number) for number in rounds)
        return self._rounds(self.bundling.add(Bundle(headers, epoch, f"proof of {rounds[-1]}")))

    def take(self) -> list[int] | None:
        return self._rounds(self.bundling.take())

    def _rounds(self, bundle: Bundle | None) -> list[int] | None:
        if bundle is None:
            return None
        assert bundle.proven == f"proof of {bundle.headers[-1].round}"
        return [header.round for header in bundle.headers]


@pytest.fixture
def scene():
    return Scene()


def test_a_round_after_a_while_is_taken_up_at_once(scene):
    assert scene.add(1) == [1]
    scene.now_s += MOMENT_S
    assert scene.add(2) == [2]
    assert scene.wakes == []


def test_rounds_right_after_it_wait_and_are_taken_up_together(scene):
    scene.add(1)
    scene.now_s += MOMENT_S / 4
    assert (scene.add(2), scene.add(3, 4)) == (None, None)
    assert scene.wakes == [pytest.approx(MOMENT_S * 3 / 4)]
    assert scene.take() == [2, 3, 4]
    assert scene.take() is None
    # Those that come now wait anew.
    assert scene.add(5) is None


def test_a_late_wake_up_does_not_hold_up_the_next_round(scene):
    scene.add(1)
    scene.add(2)
    scene.now_s += 2 * MOMENT_S
    assert scene.add(3) == [2, 3]


def test_no_more_wait_than_may(scene):
    scene.add(1)
    waiting = [scene.add(number) for number in range(2, MAX_ROUNDS + 2)]
    assert waiting[:-1] == [None] * (MAX_ROUNDS - 1)
    assert waiting[-1] == list(range(2, MAX_ROUNDS + 2))


def test_a_node_that_was_just_asked_is_current_with_each_round(scene):
    scene.add(1)
    scene.bundling.note_asked()
    assert scene.add(2) == [2]
    scene.now_s += ASKED_S
    assert scene.add(3) == [3]
    assert scene.add(4) is None


def test_what_is_void_is_forgotten(scene):
    scene.add(1)
    scene.add(2)
    assert scene.bundling.newest.round == 2
    scene.bundling.clear()
    assert scene.bundling.newest is None
    assert scene.take() is None
