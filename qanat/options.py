"""Options that several commands have, and what they stand for."""

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from qanat.layout import DataLayout
from qanat.network import load_network
from qanat.network.records import MAX_BLOCK_TIME_STEP_S, MAX_WORKERS

if TYPE_CHECKING:
    from qanat.observe import Running

ROOT = Path(__file__).resolve().parent.parent
DEFAULT_NETWORK = ROOT / "networks" / "default.toml"
ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")

# Into a pipe or file a table must not lose columns to a terminal's width.
out = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
err = Console(stderr=True, highlight=False)

NetworkOption = Annotated[
    Path, typer.Option("--network", help="Network file.", envvar="QANAT_NETWORK")
]
DataOption = Annotated[
    Path | None,
    typer.Option("--data", help="Data directory; .qanat/NAME by default.", envvar="QANAT_DATA"),
]
PortOption = Annotated[
    int,
    typer.Option(
        "--port-base",
        envvar="QANAT_PORT_BASE",
        help="Port of the gateway's HTTP; others follow from it.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
ToOption = Annotated[
    str | None,
    typer.Option("--to", "-to", envvar="TO", help="Mnemonic or addresses to fund at genesis."),
]
CountOption = Annotated[
    int | None, typer.Option("--accounts", "-n", envvar="N", help="Accounts of the mnemonic.")
]
AmountOption = Annotated[
    str | None,
    typer.Option("--amount", "-amount", envvar="AMOUNT", help="Whole tokens for each account."),
]
TestMnemonicOption = Annotated[
    bool, typer.Option("--test-mnemonic", "-test-mnemonic", help="Fund the test mnemonic.")
]
SeedOption = Annotated[
    str | None,
    typer.Option(
        "--seed", envvar="QANAT_SEED", help="Text that fixes every key, for exact replay."
    ),
]
EncryptionOption = Annotated[
    list[str] | None,
    typer.Option(
        "--require-encryption",
        metavar="ADDR|all",
        envvar="QANAT_REQUIRE_ENCRYPTION",
        help="Fail plain calls to this contract, or to any, and say where they came from.",
    ),
]
LogSizeOption = Annotated[
    float,
    typer.Option(
        "--log-mib",
        min=0,
        envvar="QANAT_LOG_MIB",
        help="Size from which a log is rotated, in MiB; the last two files stay. 0 for never.",
    ),
]
WorkersOption = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=1,
        max=MAX_WORKERS,
        help="Add so many workers, which run attested apps, to a new network.",
    ),
]
GenesisOption = Annotated[
    Path | None,
    typer.Option(
        help="Of a new network with one EVM: file with accounts, code and storage to begin with, "
        "as geth's genesis files and Anvil's dumps have them."
    ),
]
TimeStepOption = Annotated[
    int | None,
    typer.Option(
        "--block-time-step",
        envvar="QANAT_BLOCK_TIME_STEP",
        min=1,
        max=MAX_BLOCK_TIME_STEP_S,
        help="Least that blocks are apart by their timestamps, in seconds; a new network only.",
    ),
]
ProfileOption = Annotated[
    Literal["strict", "dev"] | None,
    typer.Option(
        "--profile",
        envvar="QANAT_PROFILE",
        help="How gateways answer who names none, and with `dev` that a new chain charges gas as "
        "Ethereum does; by default as the file says.",
    ),
]
ClientVersionOption = Annotated[
    str | None,
    typer.Option(
        "--client-version",
        metavar="TEXT",
        envvar="QANAT_CLIENT_VERSION",
        help="Answer to web3_clientVersion, such as HardhatNetwork/2.29.1/qanat for its plugins.",
    ),
]
NodeArgument = Annotated[str, typer.Argument(help="Node name, such as compute-0.")]
ParaTimeOption = Annotated[
    str | None, typer.Option("--paratime", help="Which of its ParaTimes; the first by default.")
]
RoundsOption = Annotated[int, typer.Option("--rounds", min=0, help="How often; 0 is no more.")]


def seed_of(text: str | None) -> bytes | None:
    """Give the bytes of a seed; an empty text is none."""
    return text.encode() if text else None


def required_encryption(words: list[str] | None) -> tuple[str, ...]:
    """Check the contracts that are to be called encrypted only; commas part them as well."""
    wanted = tuple(part for word in words or () for part in word.split(",") if part)
    for one in wanted:
        if one != "all" and not ADDRESS.fullmatch(one):
            raise typer.BadParameter(f"{one!r} is no address, and not 'all'")
    return wanted


def data_layout(network_file: Path, data: Path | None) -> DataLayout:
    """Give the data directory, by default one for each network name below `.qanat/`."""
    if data is None:
        data = Path(".qanat") / load_network(network_file).name
    return DataLayout(data.resolve())


def find_network(network_file: Path, data: Path | None, port_base: int) -> "Running":
    """Find the running network that a command is about, whichever launcher started it."""
    from qanat.observe import find_running

    return find_running(data_layout(network_file, data), network_file, port_base)
