"""`qanat ai infer`: ask a confidential model from the command line, and pay for its answers."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
from qanat.verify_commands import MeasurementOption, RootOption, read_policy
from shared.crypto.hashes import sha256
from shared.errors import Rejected

if TYPE_CHECKING:
    from apps.inference.metering.chain import ChainMeter
    from apps.inference.verify.receipt import VerifiedReceipt
    from qanat.ai.infer import Client

CHAT_MODEL, EMBEDDING_MODEL = "smollm2-135m-instruct", "all-minilm-l6-v2"
STDIN = "-"
infer_app = typer.Typer(
    no_args_is_help=True, help="Ask a confidential model: verified, encrypted, receipted."
)


class NotInferred(Rejected, module="infer_cli", code=1):
    """The service refuses the request, or does not answer it."""


PromptArgument = Annotated[str, typer.Argument(help="What to send; - reads standard input.")]
PlainOption = Annotated[
    bool, typer.Option("--plain", help="Verify, and encrypt nothing but by what carries it.")
]
KeepOption = Annotated[
    Path | None,
    typer.Option(help="File for `qanat verify receipt`; prompt and answer are in plain in it."),
]
MeterOption = Annotated[
    str, typer.Option("--meter", envvar="QANAT_METER", help="Address of InferenceMeter.")
]


@infer_app.command()
def ask(
    prompt: PromptArgument,
    url: UrlOption,
    api_key: KeyOption = "none",
    model: Annotated[str, typer.Option(help="Which one answers.")] = CHAT_MODEL,
    max_tokens: Annotated[int, typer.Option(min=1, help="Of the answer.")] = 128,
    stream: Annotated[bool, typer.Option("--stream", help="Show it as it is written.")] = False,
    plain: PlainOption = False,
    keep: KeepOption = None,
    allow_mock: MockOption = False,
    root: RootOption = None,
    measurement: MeasurementOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask a chat model; the answer counts once its receipt is verified."""
    verify_extra("inference")
    asked: dict[str, Any] = {"model": model, "max_tokens": max_tokens, "temperature": 0}
    asked["messages"] = [{"role": "user", "content": _read(prompt)}]
    policy = read_policy(root, measurement, allow_mock=allow_mock)
    with _reached(url, policy, api_key, is_plain=plain) as client:
        if stream:
            answer = _streamed(client, asked, is_shown=not as_json)
        else:
            made = client.chat.completions.create(**asked)
            answer = made.choices[0].message.content or ""
        receipt = _verified(client, keep)
    if not as_json and not stream:
        out.print(answer, markup=False, soft_wrap=True)
    _tell_receipt(as_json, receipt, text=answer, is_encrypted=not plain)


@infer_app.command()
def embed(
    text: PromptArgument,
    url: UrlOption,
    api_key: KeyOption = "none",
    model: Annotated[str, typer.Option(help="Which one answers.")] = EMBEDDING_MODEL,
    plain: PlainOption = False,
    keep: KeepOption = None,
    allow_mock: MockOption = False,
    root: RootOption = None,
    measurement: MeasurementOption = None,
    as_json: JsonOption = False,
) -> None:
    """Turn a text into numbers; they count once their receipt is verified."""
    verify_extra("inference")
    read, policy = _read(text), read_policy(root, measurement, allow_mock=allow_mock)
    with _reached(url, policy, api_key, is_plain=plain) as client:
        made = client.embeddings.create(model=model, input=read, encoding_format="float")
        receipt = _verified(client, keep)
    numbers = made.data[0].embedding
    if not as_json:
        out.print(" ".join(f"{one:.6f}" for one in numbers), markup=False, soft_wrap=True)
    _tell_receipt(as_json, receipt, embedding=numbers, is_encrypted=not plain)


@infer_app.command()
def deposit(
    wei: Annotated[int, typer.Argument(min=1, help="What is paid in.")],
    meter: MeterOption,
    api_key: KeyOption,
    gateway: GatewayOption = LOCAL_GATEWAY,
    account: AccountOption = FIRST,
    key_file: KeyFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Pay in for an API key."""
    chain, key_hash = _meter(gateway, account, key_file, meter), sha256(api_key.encode())
    chain.deposit(key_hash, wei)
    tell(as_json, credit_wei=chain.credit_wei(key_hash))


@infer_app.command()
def credit(
    meter: MeterOption,
    api_key: KeyOption,
    gateway: GatewayOption = LOCAL_GATEWAY,
    account: AccountOption = FIRST,
    key_file: KeyFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what is left of an API key's credit; only who paid in is told."""
    chain = _meter(gateway, account, key_file, meter)
    tell(as_json, credit_wei=chain.credit_wei(sha256(api_key.encode())))


@contextmanager
def _reached(url: str, policy: Any, api_key: str, *, is_plain: bool) -> "Iterator[Client]":
    """Verify the service; what it or its client refuses then is one line."""
    import openai

    from qanat.ai import infer

    say("verifying the service")
    options = {"policy": policy, "api_key": api_key, "encrypt": not is_plain, "max_retries": 0}
    with infer.client(url, **options) as client:
        say("asking it")
        try:
            yield client
        except openai.OpenAIError as error:
            raise NotInferred(f"{url}: {error}") from error


def _streamed(client: "Client", asked: dict[str, Any], *, is_shown: bool) -> str:
    pieces = []
    for chunk in client.chat.completions.create(**asked, stream=True):
        for choice in chunk.choices:
            piece = choice.delta.content or ""
            pieces.append(piece)
            if is_shown:
                print(piece, end="", flush=True)
    if is_shown:
        print()
    return "".join(pieces)


def _verified(client: "Client", keep: Path | None) -> "VerifiedReceipt":
    kept = client.last_receipt
    receipt = kept.verify()
    if keep is not None:
        kept.save(keep)
        say(f"kept {keep}")
    return receipt


def _tell_receipt(as_json: bool, receipt: "VerifiedReceipt", **answer: Any) -> None:
    facts = {"receipt_id": receipt.receipt_id, "model": receipt.model, "receipt_verified": True}
    if as_json:
        print(json.dumps(answer | facts))
    else:
        say(f"receipt {receipt.receipt_id} is verified (mock TEE)")


def _meter(gateway: str, account: str, key_file: Path | None, address: str) -> "ChainMeter":
    verify_extra("inference")
    from apps.inference.metering.chain import ChainMeter

    say(f"reaching {address}")
    return ChainMeter(gateway, find_account(account, key_file), address)


def _read(text: str) -> str:
    return sys.stdin.read() if text == STDIN else text
