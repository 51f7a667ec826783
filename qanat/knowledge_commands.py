"""`qanat ai knowledge`: documents that earn, from the side of who has them and of who asks."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qanat.ai_options import (
    FIRST,
    AccountOption,
    KeyOption,
    MockOption,
    UrlOption,
    find_account,
    tell,
    verify_extra,
)
from qanat.demo_commands import say
from qanat.options import JsonOption, out
from qanat.rofl.app_commands import LOCAL_GATEWAY, GatewayOption, KeyFileOption
from shared.crypto.hashes import sha256
from shared.errors import Rejected

if TYPE_CHECKING:
    from apps.inference.verify.policy import Policy
    from qanat.ai.knowledge import App, Given, KnowledgeChain

COMMITMENT_BYTES = 32
knowledge_app = typer.Typer(
    no_args_is_help=True, help="Documents that nobody is shown and that earn by answers."
)


class UnreadableDocument(Rejected, module="knowledge_cli", code=1):
    """A file that a command names cannot be read, or is not what `add` kept."""


class NotAnswered(Rejected, module="knowledge_cli", code=2):
    """The app refuses the question, or does not answer it."""


AppOption = Annotated[
    str | None, typer.Option("--url", help="Of an instance, which says which contract pays.")
]
PayOption = Annotated[
    str | None,
    typer.Option("--pay", envvar="QANAT_KNOWLEDGE_PAY", help="KnowledgePay, where no --url is."),
]


@knowledge_app.command()
def add(
    document: Annotated[Path, typer.Argument(help="UTF-8 text of at most 64 KiB.")],
    url: UrlOption,
    max_run: Annotated[int, typer.Option(help="Longest passage in one answer, in letters.")] = 120,
    budget: Annotated[int, typer.Option(help="Of it for one asker, in all answers.")] = 600,
    keep: Annotated[
        Path | None, typer.Option(help="What is to be kept secret; FILE.kept by default.")
    ] = None,
    allow_mock: MockOption = False,
    gateway: GatewayOption = LOCAL_GATEWAY,
    account: AccountOption = FIRST,
    key_file: KeyFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Commit to a document on the chain, as its owner, and seal it to the app.

    Done again it is handed over again: to another instance, or where the first time was cut off.
    """
    kept, text = keep or document.with_name(f"{document.name}.kept"), _read(document)
    with _verified(url, allow_mock=allow_mock) as app:
        from apps.knowledge.errors import ContractRefused
        from qanat.ai.knowledge import Contributor, prepare

        owner = Contributor(app, _chain(gateway, account, key_file, app.pay))
        is_known = kept.exists()
        given = _kept(kept) if is_known else prepare(text)
        if given.text != text:
            raise UnreadableDocument(f"{kept} is of another text than {document}")
        if not is_known:
            # Before it is on the chain: what is registered and not kept cannot be handed over.
            _keep(kept, given)
        say("committing to it on the chain, and handing it over")
        try:
            owner.give(given, max_run=max_run, budget=budget)
        except ContractRefused as error:
            if not (is_known and error.name == "AlreadyCommitted"):
                raise
            owner.hand(given)
    tell(as_json, commitment=given.commitment.hex(), kept=str(kept), pay=app.pay)


@knowledge_app.command()
def remove(
    commitment: Annotated[str, typer.Argument(help="Of the document, 64 hex digits.")],
    url: AppOption = None,
    pay: PayOption = None,
    allow_mock: MockOption = False,
    gateway: GatewayOption = LOCAL_GATEWAY,
    account: AccountOption = FIRST,
    key_file: KeyFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take a document back: the next answer is made without it."""
    try:
        named = bytes.fromhex(commitment)
    except ValueError:
        named = b""
    if len(named) != COMMITMENT_BYTES:
        raise typer.BadParameter("64 hex digits", param_hint="COMMITMENT")
    _reach(gateway, account, key_file, url, pay, allow_mock=allow_mock).remove(named)
    tell(as_json, commitment=commitment, removed=True)


@knowledge_app.command()
def ask(
    question: Annotated[str, typer.Argument(help="At most 2,000 characters.")],
    url: UrlOption,
    api_key: KeyOption = "none",
    max_tokens: Annotated[int, typer.Option(help="Of the answer.")] = 128,
    allow_mock: MockOption = False,
    as_json: JsonOption = False,
) -> None:
    """Ask, encrypted; the answer's receipt is verified, and its documents' owners are paid."""
    verify_extra("knowledge")
    import openai

    from qanat.ai import knowledge

    say("verifying the app, and asking it")
    try:
        answer = knowledge.ask(
            url,
            question,
            policy=_policy(allow_mock=allow_mock),
            api_key=api_key,
            max_tokens=max_tokens,
        )
    except openai.OpenAIError as error:
        raise NotAnswered(f"{url}: {error}") from error
    sources = [{"commitment": one.commitment.hex(), "chunk": one.chunk} for one in answer.sources]
    if as_json:
        found = {"text": answer.text, "sources": sources, "is_withheld": answer.is_withheld}
        print(json.dumps(found))
        return
    out.print(answer.text, markup=False, soft_wrap=True)
    for one in sources:
        out.print(f"from {one['commitment']}, part {one['chunk']}", markup=False, soft_wrap=True)
    if answer.is_withheld:
        out.print("The rest is withheld: it is an owner's text.", markup=False)


@knowledge_app.command()
def deposit(
    wei: Annotated[int, typer.Argument(min=1, help="What is paid in.")],
    api_key: KeyOption,
    url: AppOption = None,
    pay: PayOption = None,
    allow_mock: MockOption = False,
    gateway: GatewayOption = LOCAL_GATEWAY,
    account: AccountOption = FIRST,
    key_file: KeyFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Pay in for an API key."""
    chain = _reach(gateway, account, key_file, url, pay, allow_mock=allow_mock)
    chain.deposit(sha256(api_key.encode()), wei)
    tell(as_json, credit_wei=chain.my_credit_wei(sha256(api_key.encode())))


@knowledge_app.command()
def credit(
    api_key: KeyOption,
    url: AppOption = None,
    pay: PayOption = None,
    allow_mock: MockOption = False,
    gateway: GatewayOption = LOCAL_GATEWAY,
    account: AccountOption = FIRST,
    key_file: KeyFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what is left of an API key's credit; only who paid in is told."""
    chain = _reach(gateway, account, key_file, url, pay, allow_mock=allow_mock)
    tell(as_json, credit_wei=chain.my_credit_wei(sha256(api_key.encode())))


@knowledge_app.command()
def earned(
    url: AppOption = None,
    pay: PayOption = None,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="Take it as well.")] = False,
    allow_mock: MockOption = False,
    gateway: GatewayOption = LOCAL_GATEWAY,
    account: AccountOption = FIRST,
    key_file: KeyFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what the account's documents have earned; nobody else can ask."""
    chain = _reach(gateway, account, key_file, url, pay, allow_mock=allow_mock)
    owed = chain.my_pay_wei()
    if withdraw and owed:
        chain.withdraw(owed)
    tell(as_json, earned_wei=owed, withdrawn=withdraw and owed > 0)


@contextmanager
def _verified(url: str, *, allow_mock: bool) -> "Iterator[App]":
    verify_extra("knowledge")
    from qanat.ai import knowledge

    say("verifying the app")
    with knowledge.app(url, policy=_policy(allow_mock=allow_mock)) as app:
        yield app


def _reach(
    gateway: str,
    account: str,
    key_file: Path | None,
    url: str | None,
    pay: str | None,
    *,
    allow_mock: bool,
) -> "KnowledgeChain":
    """Reach the contract: the one that is named, or the one that a verified instance measured."""
    verify_extra("knowledge")
    if pay is None:
        if url is None:
            raise typer.BadParameter("--url or --pay says which contract")
        with _verified(url, allow_mock=allow_mock) as app:
            pay = app.pay
    return _chain(gateway, account, key_file, pay)


def _chain(gateway: str, account: str, key_file: Path | None, pay: str) -> "KnowledgeChain":
    from qanat.ai.knowledge import KnowledgeChain

    say(f"reaching {pay}")
    return KnowledgeChain(gateway, find_account(account, key_file), pay)


def _policy(*, allow_mock: bool) -> "Policy":
    from qanat.ai.knowledge import Policy

    return Policy(allow_mock=allow_mock)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnreadableDocument(f"{path}: {error.strerror}") from error


def _keep(path: Path, given: "Given") -> None:
    fields = {"commitment": given.commitment.hex(), "secret": given.secret.hex()}
    content = json.dumps(fields | {"text": given.text.decode()})
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(content)
    except OSError as error:
        raise UnreadableDocument(f"{path}: {error.strerror}") from error


def _kept(path: Path) -> "Given":
    verify_extra("knowledge")
    from qanat.ai.knowledge import prepare

    try:
        fields = json.loads(_read(path))
        given = prepare(fields["text"].encode(), bytes.fromhex(fields["secret"]))
        is_it = given.commitment.hex() == fields["commitment"]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UnreadableDocument(f"{path} is nothing that `add` kept") from error
    if not is_it:
        raise UnreadableDocument(f"{path} was changed: another document follows from it")
    return given
