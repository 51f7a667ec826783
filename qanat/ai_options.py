"""What the commands of `qanat ai` have in common."""

import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qanat.demo_commands import ExtraMissing
from qanat.options import out

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

UrlOption = Annotated[str, typer.Option("--url", help="Of an instance of the app.")]
AccountOption = Annotated[str, typer.Option("--account", help="test:N of the test mnemonic.")]
MockOption = Annotated[
    bool, typer.Option("--allow-mock", help="Accept evidence that the machine's owner can make.")
]
KeyOption = Annotated[
    str, typer.Option("--api-key", envvar="QANAT_API_KEY", help="Whose prepaid credit pays.")
]
FIRST = "test:0"


def verify_extra(what: str) -> None:
    """Raise `ExtraMissing` where the packages of `qanat[ai]` are not there."""
    if importlib.util.find_spec("openai") is None:
        raise ExtraMissing(f"{what} needs the extra qanat[ai]: `make setup-ai`")


def find_account(account: str, key_file: Path | None) -> "LocalAccount":
    """Give the account that signs. Raises `NoAccount`."""
    from eth_account import Account

    from qanat.rofl.owner import find_secret

    found: LocalAccount = Account.from_key(find_secret(account, key_file))
    return found


def tell(as_json: bool, **facts: Any) -> None:
    """Print facts, for a reader or for a script."""
    if as_json:
        print(json.dumps(facts))
        return
    for name, value in facts.items():
        out.print(f"{name.replace('_', ' ')}: {value}", markup=False, soft_wrap=True)
