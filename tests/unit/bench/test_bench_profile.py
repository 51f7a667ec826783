"""What one transaction costs is reckoned from processor times before and after."""

from rich.console import Console

from tests.bench.profile import as_table, cost_of

PIDS = {"compute": [11, 12, 13, 14], "gateway": [15]}


def test_cost_is_the_difference_over_the_transactions() -> None:
    cost = cost_of(
        {"compute": 1.0, "gateway": 2.0}, {"compute": 1.8, "gateway": 2.2}, PIDS, [9.0, 7.0] * 50
    )
    assert {part: round(ms, 6) for part, ms in cost.cpu_ms.items()} == {"compute": 8, "gateway": 2}
    assert (round(cost.total_ms, 6), cost.p50_ms) == (10, 8)


def test_table_gives_what_each_of_several_processes_costs_and_the_dearest_first() -> None:
    cost = cost_of(
        {"gateway": 0, "compute": 0}, {"gateway": 0.2, "compute": 0.8}, PIDS, [8.0] * 100
    )
    console = Console(width=100, record=True, file=None, quiet=False)
    with console.capture() as shown:
        console.print(as_table(cost))
    rows = [line.split() for line in shown.get().splitlines() if "%" in line]
    cells = [[cell for cell in row if cell not in "│┃"] for row in rows]
    assert [cell[:4] for cell in cells] == [
        ["compute", "4", "8.00", "2.00"],
        ["gateway", "1", "2.00", "2.00"],
    ]
