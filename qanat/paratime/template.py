"""
Makes a new ParaTime from a template that runs: its program, its tests, its network, its page.

The program lies in `examples/`, since enclaves run and measure what is below the checkout.
"""

import re
import secrets
from pathlib import Path
from string import Template

from shared.errors import Rejected

NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")
FOLDER = "examples"
RESERVED = frozenset({"core", "accounts"})


class BadName(Rejected, module="paratime", code=1):
    """The name cannot be that of a package, or is taken."""


def create_paratime(name: str, root: Path) -> tuple[Path, ...]:
    """
    Write the files of a new ParaTime.

    Parameters
    ----------
    name : `str`
        Of its package and module, such as `order_book`.
    root : `Path`
        The checkout.

    Returns
    -------
    files : `tuple`
        What was written.

    Raises
    ------
    BadName
        It is no name, or there is such a ParaTime already.
    """
    if not NAME.fullmatch(name) or name in RESERVED:
        raise BadName(f"{name!r} must be small letters, digits and '_', and not core or accounts")
    package = root / FOLDER / name
    files = {
        package / "__init__.py": PROGRAM,
        package / "README.md": PAGE,
        root / "networks" / f"{name}.toml": NETWORK,
        root / "tests" / "unit" / FOLDER / f"test_{name}.py": TESTS,
    }
    taken = [path for path in files if path.exists()]
    if taken:
        raise BadName(f"{taken[0]} is there already")
    words = {
        "name": name,
        "kebab": name.replace("_", "-"),
        "title": name.replace("_", " ").capitalize(),
        "id": "80" + secrets.token_hex(31),
    }
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(Template(text).substitute(words))
    return tuple(files)


PROGRAM = '''"""
$title: a ParaTime that keeps one secret number for each account.

Read `docs/paratimes.md`, then change everything.
"""

from dataclasses import dataclass

from runtimes.python.sdk import (
    Bytes21,
    Context,
    Map,
    Module,
    ParaTime,
    Refused,
    Value,
    call,
    event,
    query,
)

NOTHING_KEPT = 1


@event(1)
@dataclass(frozen=True)
class Kept:
    """Somebody keeps a number now. Events are public: not which."""

    total: int


class Program(Module):
    """Numbers by account."""

    name = "$name"
    total = Value(int, 0)
    numbers = Map(Bytes21, int)

    @call(gas=1_000)
    def keep(self, ctx: Context, number: int) -> None:
        """Keep a number for the sender."""
        sender = ctx.require_sender()
        if self.numbers.get(ctx, sender) is None:
            self.total.set(ctx, self.total.get(ctx) + 1)
        self.numbers.set(ctx, sender, number)
        ctx.emit(Kept(self.total.get(ctx)))

    @call(gas=500)
    def recall(self, ctx: Context) -> int:
        """Give the sender's number; send it read-only to leave no trace."""
        number = self.numbers.get(ctx, ctx.require_sender())
        if number is None:
            raise Refused(NOTHING_KEPT, "nothing is kept for you")
        return number

    @query
    def how_many(self, ctx: Context) -> int:
        """How many accounts keep a number: everybody may know."""
        return self.total.get(ctx)


# `confidential` seals the state and lets calls come encrypted; the network file says it as well.
PARATIME = ParaTime(name="$kebab", modules=(Program(),), confidential=True)
'''

TESTS = '''"""What $name promises, on a chain in one process."""

import pytest

from qanat.paratime.harness import LocalChain
from qanat.paratime.signing import Account
from shared.errors import RuntimeRejected

ALICE, BOB = Account(b"a" * 32), Account(b"b" * 32)


def test_a_number_is_its_keepers_alone() -> None:
    chain = LocalChain("examples.$name")
    chain.send(ALICE, "$name.Keep", 42)
    assert chain.read(ALICE, "$name.Recall") == 42
    with pytest.raises(RuntimeRejected, match="nothing is kept for you"):
        chain.read(BOB, "$name.Recall")
    assert chain.query("$name.HowMany") == 1


def test_a_number_can_be_changed_and_counts_once() -> None:
    chain = LocalChain("examples.$name")
    for number in (1, 2):
        chain.send(ALICE, "$name.Keep", number)
    assert chain.read(ALICE, "$name.Recall") == 2
    assert chain.query("$name.HowMany") == 1
'''

NETWORK = """# $title by itself: one consensus node, one key manager, three compute nodes.

name = "$kebab"
chain_id = "qanat-localnet"
epoch_interval_s = 600
base_epoch = 2
unsafe_mock_tee = true                 # no hardware protects anything here: QANAT_UNSAFE_MOCK_TEE=1
dev_controls = true                    # time, epochs, faults: QANAT_UNSAFE_DEV_CONTROLS=1

[consensus]
nodes = ["consensus-0"]

[[key_manager]]
name = "keymanager"
id = "c000000000000000000000000000000000000000000000000000000000000000"
nodes = ["keymanager-0", "keymanager-1"]

[[paratime]]
name = "$kebab"
id = "$id"
runtime = "python:examples.$name"
key_manager = "keymanager"
nodes = ["compute-0", "compute-1", "compute-2"]
committee = {workers = 2, backup_workers = 2}
gateway = {name = "gateway", http_port = 8555}

[accounts]
mnemonic = "test test test test test test test test test test test junk"
count = 10
amount = 10_000                        # whole tokens each
"""

PAGE = """# $title

A ParaTime in Python. The program is `__init__.py`; how to write one: `docs/paratimes.md`.

```sh
.venv/bin/python -m pytest tests/unit/examples/test_$name.py
make up NETWORK=networks/$name.toml
curl -s localhost:8555/v1/info
```

```python
from qanat.paratime.client import ParaTimeClient
from qanat.paratime.signing import Account

client = ParaTimeClient("http://localhost:8555", Account())
client.send("$name.Keep", 42)
client.read("$name.Recall")
```
"""
