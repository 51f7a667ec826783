"""What is said of the machine: how much longer a process takes when it wakes."""

from tests.bench import machine


def test_a_process_that_wakes_is_compared_with_the_fastest_of_those_that_run(monkeypatch):
    walks = iter([0.009, 0.004, 0.002, 0.003, 0.005, 0.006])
    paused = []
    monkeypatch.setattr(machine, "_walk_s", lambda: next(walks))
    monkeypatch.setattr(machine.time, "sleep", paused.append)
    assert machine.cold_factor() == 3
    assert paused == [machine.PAUSE_S]


def test_the_objects_are_walked(monkeypatch):
    monkeypatch.setattr(machine, "PAUSE_S", 0)
    assert machine.cold_factor() > 0
