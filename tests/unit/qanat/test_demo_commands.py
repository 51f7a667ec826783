"""`qanat demo data-market` with anybody's files: one JSON document, or one line of error."""

import csv
import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time

import pytest
from typer.testing import CliRunner

from apps.data_market.intake.files import list_contributors
from qanat import cli, demo_own_network
from qanat.demo_commands import ExtraMissing, ReportNotWritten
from qanat.demo_own_network import NetworkNotStarted, own_network
from qanat.network.file import BadNetworkFile
from tests.support.market import public_rows, shared_out, with_copies, with_flipped
from tests.support.networks import ROOT

POT = 10**18 + 7
KEYS = [
    *("pot_wei", "paid_wei", "accuracy", "eps", "delta", "attack_auc"),
    *("rows_used", "rows_dropped", "value_hash", "seconds"),
]


def write_table(path, rows, label="kind"):
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow([*(f"x{at}" for at in range(rows.features.shape[1])), label])
        for features, kind in zip(rows.features.tolist(), rows.labels.tolist(), strict=True):
            lines.writerow([*features, f"k{kind}"])


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Twelve contributors of digits: one half wrong, one a quarter, one who copies himself."""
    folder = tmp_path_factory.mktemp("market")
    train, held = public_rows("digits")
    contributions = shared_out(train, 12)
    contributions[1] = with_flipped(contributions[1], 0.5, 10)
    contributions[2] = with_flipped(contributions[2], 0.25, 10)
    contributions[3] = with_copies(contributions[3], 6)
    for one in contributions:
        write_table(folder / "contributors" / f"{one.name}.csv", one.rows)
    write_table(folder / "validation.csv", held)
    return folder


def run(folder, *options, label="kind"):
    return CliRunner().invoke(
        cli.app,
        [
            *("demo", "data-market", "--contributors", str(folder / "contributors")),
            *("--validation", str(folder / "validation.csv"), "--label", label),
            *options,
        ],
        standalone_mode=False,
    )


@pytest.fixture(scope="module")
def found(files):
    result = run(files, "--recipe", "dp-logreg/1", "--eps", "1", "--pot", str(POT), "--json")
    assert result.exception is None
    return json.loads(result.stdout)


def test_the_document_has_these_keys_and_no_others(found) -> None:
    assert list(found) == KEYS


def test_the_pot_is_paid_to_the_wei_by_value(found) -> None:
    paid = found["paid_wei"]
    assert found["pot_wei"] == POT == sum(paid.values())
    assert sorted(paid) == [f"c{at:02}" for at in range(12)]
    assert paid["c01"] < paid["c02"] < min(paid[f"c{at:02}"] for at in range(3, 12))


def test_copies_are_dropped_and_honest_rows_are_not(found) -> None:
    dropped = found["rows_dropped"]
    assert dropped.pop("c03") == 5 * 105
    assert sum(dropped.values()) <= 0.005 * 1257
    assert sum(found["rows_used"].values()) + sum(dropped.values()) == 1257


def test_the_model_is_good_and_shows_nothing(found) -> None:
    assert found["accuracy"] >= 0.85
    assert (found["eps"], 0 < found["delta"] < 1e-3) == (1.0, True)
    assert found["attack_auc"] <= 0.6


def test_values_are_the_same_again_and_noise_is_not(files, found) -> None:
    again = json.loads(run(files, "--pot", str(POT), "--json").stdout)
    assert again["value_hash"] == found["value_hash"]
    assert again["paid_wei"] == found["paid_wei"]


def test_without_json_it_is_a_text(files) -> None:
    result = run(files)
    assert "attack AUC" in result.stdout
    assert "outside an enclave" in result.stderr


def failure(folder, *options, label="kind"):
    error = run(folder, *options, label=label).exception
    return error.module, error.code, error.message


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--eps", "0"), 3),
        (("--eps", "-1"), 3),
        (("--eps", "nan"), 3),
        (("--pot", "0"), 3),
        (("--pot", "-5"), 3),
        (("--pot", str(1 << 128)), 3),
        (("--recipe", "forest/1"), 4),
    ],
)
def test_impossible_parameters_are_refused(files, options, code) -> None:
    module, found_code, message = failure(files, *options, "--json")
    assert (module, found_code) == ("data_market", code)
    assert "\n" not in message


def test_a_missing_label_column_is_refused(files) -> None:
    assert failure(files, label="nothing") == (
        "data_market",
        1,
        "validation.csv: no column 'nothing': there are x0, x1, x2, x3, x4 and 60 more",
    )


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "the file is empty"),
        (b"x0,x1,kind\n", "no rows below the header"),
        (b"x0,x1,kind\n1,abc,k0\n", "row 1, column x1: no finite decimal number"),
        (b"x0,x1,kind\n1,2,k0\n1,nan,k0\n", "row 2, column x1: no finite decimal number"),
        (b"x0,x1,kind\n1,1e300,k0\n", "row 1, column x1: a number beyond"),
        (b"x0,x1,kind\n1,2,k9\n", "row 1, column kind: the validation set has no such label"),
        (b"x0,x2,kind\n1,2,k0\n", "there is no column x1 and too many is x2"),
        (b"x0,x1,x2,kind\n1,2,3,k0\n", "too many is x2"),
        (b"x0,x1,kind\n1,2,k0,4\n", "row 1 has 4 cells, and the header 3"),
        (b'x0,x1,kind\n1,2,k0\n"1,2,k0\n', "row 2 or one below it: no CSV, a double quote"),
        (b"x0,x0,kind\n1,2,k0\n", "two columns have one name: x0"),
        (b"1.5,2.5,k0\n3.5,4.5,k1\n", "the first line has numbers, and has to be the names"),
        (b"x0;x1;kind\n1;2;k0\n", "no column 'kind': semicolons part the columns"),
        (b"x0\tx1\tkind\n1\t2\tk0\n", "no column 'kind': tabs part the columns"),
        (b"x0,x1,kind\n1,2,k\xe9\n", "line 2: no text in UTF-8, save it so"),
        (b"x0,x1,kind\n1,2,a@b.org\n", "a label is an e-mail address"),
        ("x0,x1,kind\n1,2,k0\n".encode("utf-16"), "it seems to be UTF-16"),
    ],
)
def test_a_bad_file_is_named(tmp_path, content, what) -> None:
    (tmp_path / "validation.csv").write_bytes(b"x0,x1,kind\n1,2,k0\n3,4,k1\n")
    (tmp_path / "contributors").mkdir()
    (tmp_path / "contributors" / "eve.csv").write_bytes(content)
    module, code, message = failure(tmp_path)
    assert (module, code) == ("data_market", 16 if b"@" in content else 1)
    assert message.startswith("eve.csv: ")
    assert what in message
    assert "1.5" not in message


def test_a_bad_validation_file_is_named(tmp_path) -> None:
    (tmp_path / "validation.csv").write_bytes(b"x0,kind\n1,k0\n3,k0\n")
    assert failure(tmp_path) == (
        "data_market",
        1,
        "validation.csv: column kind: one label only, and a model tells two apart",
    )


def test_nobody_is_refused(tmp_path) -> None:
    (tmp_path / "validation.csv").write_bytes(b"x0,kind\n1,k0\n3,k1\n")
    assert failure(tmp_path)[:2] == ("data_market", 1)
    (tmp_path / "contributors").mkdir()
    assert failure(tmp_path)[:2] == ("data_market", 1)


def test_rows_without_value_are_not_paid(tmp_path) -> None:
    validation = "".join(f"{10 * at},k{at % 2}\n" for at in range(20))
    wrong = "".join(f"{10 * at},k{1 - at % 2}\n" for at in range(20))
    (tmp_path / "validation.csv").write_text("x0,kind\n" + validation.replace("0,k", "1,k"))
    (tmp_path / "contributors").mkdir()
    for at in range(5):
        rows = wrong.replace("0,k", f"0.{at},k")
        (tmp_path / "contributors" / f"eve{at}.csv").write_text("x0,kind\n" + rows)
    assert failure(tmp_path)[:2] == ("data_market", 5)


def test_an_error_is_one_line_and_exit_status_1(monkeypatch, capsys, tmp_path) -> None:
    monkeypatch.setattr(
        "sys.argv",
        [
            *("qanat", "demo", "data-market", "--contributors", str(tmp_path / ("long" * 40))),
            *("--validation", str(tmp_path / ("v" * 200)), "--label", "kind"),
        ],
    )
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: ")
    assert last.endswith("no such file")


def test_the_base_install_says_what_is_missing(monkeypatch, files) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert isinstance(run(files).exception, ExtraMissing)


def test_without_files_it_tells_its_story_and_writes_a_page(tmp_path) -> None:
    page = tmp_path / "page.html"
    result = CliRunner().invoke(
        cli.app,
        ["demo", "data-market", "--local", "--report", str(page), "--json"],
        standalone_mode=False,
    )
    assert list(json.loads(result.stdout)) == KEYS
    assert page.read_text().startswith("<!doctype html>")
    assert f"wrote {page}" in result.stderr


def test_with_files_a_page_is_written_where_one_asks_for_it(files, tmp_path) -> None:
    page = tmp_path / "page.html"
    assert list(json.loads(run(files, "--report", str(page), "--json").stdout)) == KEYS
    text = page.read_text()
    assert "Pay by contributor" in text
    assert text.count("class='dot'") == 1
    assert "Privacy budget left" not in text


def test_a_story_runs_on_a_network_or_without_one(tmp_path) -> None:
    named = ["--local", "--gateway", "http://127.0.0.1:1", "--report", str(tmp_path / "page.html")]
    result = CliRunner().invoke(cli.app, ["demo", "data-market", *named], standalone_mode=False)
    assert (result.exception.module, result.exception.code) == ("data_market", 3)
    assert not list(tmp_path.iterdir())


def test_a_network_that_does_not_start_is_an_error(monkeypatch, tmp_path) -> None:
    """Before anything else is done; what was begun is stopped."""
    monkeypatch.setattr("qanat.demo_own_network.DEFAULT_NETWORK", tmp_path / "none.toml")
    named = ["--report", str(tmp_path / "page.html")]
    result = CliRunner().invoke(cli.app, ["demo", "data-market", *named], standalone_mode=False)
    assert isinstance(result.exception, BadNetworkFile)


@pytest.mark.enable_socket
def test_what_a_start_says_is_told(monkeypatch) -> None:
    monkeypatch.setenv("QANAT_UNSAFE_MOCK_TEE", "0")
    with pytest.raises(NetworkNotStarted, match="`qanat up`: error: "), own_network(print):
        pass


@pytest.mark.parametrize(("options", "first"), [((), 20_545), (("--port-base", "31000"), 31_000)])
def test_ports_of_its_own_network_are_those_that_are_free_from_one_on(
    monkeypatch, tmp_path, options, first
) -> None:
    asked = []

    def none_free(base: int, _host: str) -> list[int]:
        asked.append(base)
        return [base]

    monkeypatch.setattr(demo_own_network, "taken_ports", none_free)
    monkeypatch.setattr(demo_own_network, "plan_nodes", lambda _network, base: base)
    named = ["demo", "data-market", "--report", str(tmp_path / "page.html"), *options]
    told = CliRunner().invoke(cli.app, named, standalone_mode=False)
    assert isinstance(told.exception, NetworkNotStarted)
    assert asked[0] == first
    assert f"from {first} to" in told.exception.message


def test_a_page_that_cannot_be_written_is_an_error(tmp_path) -> None:
    result = CliRunner().invoke(
        cli.app,
        ["demo", "data-market", "--report", str(tmp_path / "no" / "page.html")],
        standalone_mode=False,
    )
    assert isinstance(result.exception, ReportNotWritten)


def test_files_are_named_all_or_none(files) -> None:
    result = CliRunner().invoke(
        cli.app, ["demo", "data-market", "--label", "kind"], standalone_mode=False
    )
    assert (result.exception.module, result.exception.code) == ("data_market", 3)


def test_files_that_programs_hide_are_nobodys(tmp_path) -> None:
    (tmp_path / "ana.csv").write_bytes(b"x0,x1,kind\n1,2,k0\n")
    (tmp_path / "._ana.csv").write_bytes(b"\0\5\x16\7")
    assert [file.name for file in list_contributors(tmp_path)] == ["ana.csv"]


@pytest.fixture
def stopped(monkeypatch):
    """Directories of a story's networks that were stopped; none is really started."""
    stopped = []
    monkeypatch.setattr(demo_own_network, "_start", lambda *_: None)
    monkeypatch.setattr(demo_own_network, "find_running", lambda *_: None)
    monkeypatch.setattr(demo_own_network, "_free_ports", lambda *_: 20_545)
    monkeypatch.setattr(
        demo_own_network, "stop_network", lambda layout: stopped.append(layout.root)
    )
    return stopped


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_who_ends_the_story_ends_its_network(stopped, number) -> None:
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as ended, own_network(lambda _: None):
        os.kill(os.getpid(), number)
        time.sleep(60)
    assert ended.value.code == 128 + number
    (root,) = stopped
    assert not root.parent.exists()
    assert signal.getsignal(number) is before


def test_who_cannot_wait_leaves_no_network_behind(stopped) -> None:
    """Ctrl-C once more, as soon as the first one is answered."""

    def say(what: str) -> None:
        if what == "taking the network down":
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt) as ended, own_network(say):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)
    assert ended.value.__context__ is None, "the second one was heard"
    (root,) = stopped
    assert not root.parent.exists()


def test_an_app_that_writes_until_it_ends_is_waited_for(stopped, monkeypatch) -> None:
    attempts = []
    clean_up = tempfile.TemporaryDirectory.cleanup

    def fail_twice(made) -> None:
        attempts.append(made)
        if len(attempts) < 3:
            raise OSError("directory not empty")
        clean_up(made)

    monkeypatch.setattr(tempfile.TemporaryDirectory, "cleanup", fail_twice)
    with own_network(lambda _: None):
        pass
    (root,) = stopped
    assert not root.parent.exists()
    # It does not end: nobody waits for ever.
    attempts.clear()
    monkeypatch.setattr(demo_own_network, "LAST_WRITES_S", 0)
    with pytest.raises(OSError, match="not empty"), own_network(lambda _: None):
        pass
    clean_up(attempts[0])


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_nobody_hears_of_what_was_half_made_when_the_story_ended(number) -> None:
    """Such as an event loop of a client, which Ctrl-C found within its constructor."""
    story = f"""
        import os, signal, sys
        from qanat.unwinding import unwinding
        class Half:
            def __init__(self):
                os.kill(os.getpid(), signal.{number})
                self.rest = 1
            def __del__(self):
                print("ended", self.rest)
        async def never(): pass
        def tell(coroutine):
            Half()
        try:
            with unwinding():
                tell(never())
        except BaseException as end:
            print(type(end).__name__)
    """
    told = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(story)], cwd=ROOT, capture_output=True, text=True
    )
    expected = {"SIGINT": "KeyboardInterrupt", "SIGTERM": "SystemExit"}[number]
    assert (told.stdout, told.stderr) == (f"{expected}\n", "")


@pytest.mark.parametrize("options", [("--eps", "9"), ("--eps", "0.5"), ("--pot", "0")])
def test_a_story_that_cannot_be_told_starts_no_network(monkeypatch, options) -> None:
    monkeypatch.setattr(demo_own_network, "own_network", None)
    told = CliRunner().invoke(cli.app, ["demo", "data-market", *options], standalone_mode=False)
    assert (told.exception.module, told.exception.code) == ("data_market", 3)
