"""`qanat verify`: is a report, a receipt or a model's card good? Offline; no node is asked."""

import base64
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qanat.ai_options import verify_extra
from qanat.options import JsonOption, err, out
from shared.errors import Rejected

if TYPE_CHECKING:
    from apps.inference.verify.policy import Policy
    from apps.inference.verify.report import VerifiedService

verify_app = typer.Typer(
    no_args_is_help=True,
    help="Verify answers of confidential inference and cards of models, offline.",
)


class UnreadableFile(Rejected, module="verify", code=1):
    """A file that a command names cannot be read."""


FileArgument = Annotated[Path, typer.Argument(help="What a client kept, or the service answered.")]
MockOption = Annotated[
    bool, typer.Option("--allow-mock", help="Accept evidence that the machine's owner can make.")
]
NonceOption = Annotated[
    str | None, typer.Option(help="Your challenge, 64 hex digits; what a client kept has it.")
]
RootOption = Annotated[
    Path | None, typer.Option(help="The only root that counts, DER or PEM; else the service's own.")
]
MeasurementOption = Annotated[
    list[str] | None, typer.Option(help="MRTD that counts, in hex; may be given again.")
]
AtOption = Annotated[
    int | None, typer.Option(help="When it must have been good [Unix s]; now by default.")
]


@verify_app.command()
def report(
    file: FileArgument,
    nonce: NonceOption = None,
    allow_mock: MockOption = False,
    root: RootOption = None,
    measurement: MeasurementOption = None,
    at: AtOption = None,
    as_json: JsonOption = False,
) -> None:
    """Verify an attestation report: keys, quote, measurement, and that it answers your nonce."""
    from apps.inference.documents.canonical import read_document
    from apps.inference.verify.exchange import MAX_EXCHANGE_BYTES, Exchange
    from apps.inference.verify.report import verify_report

    policy = read_policy(root, measurement, allow_mock=allow_mock)
    with _named(as_json=as_json):
        raw = _read(file)
        document = read_document(raw, MAX_EXCHANGE_BYTES)
        if "format" in document:
            kept = Exchange.decode(raw)
            document, nonce = kept.report, nonce or kept.nonce
        service = verify_report(document, nonce=nonce, policy=policy, now_s=_now(at))
    _tell(_service_facts(service) | {"nonce": nonce}, as_json=as_json)


@verify_app.command()
def receipt(
    file: FileArgument,
    report_file: Annotated[
        Path | None, typer.Option("--report", help="Where FILE is a bare receipt: its report.")
    ] = None,
    request: Annotated[Path | None, typer.Option(help="Body that was sent.")] = None,
    response: Annotated[Path | None, typer.Option(help="Body that came back.")] = None,
    nonce: NonceOption = None,
    allow_mock: MockOption = False,
    root: RootOption = None,
    measurement: MeasurementOption = None,
    at: AtOption = None,
    as_json: JsonOption = False,
) -> None:
    """Verify a receipt: that a verified service saw this request and gave this response."""
    from apps.inference.documents.canonical import read_document
    from apps.inference.verify.exchange import MAX_EXCHANGE_BYTES, Exchange, verify_exchange
    from apps.inference.verify.receipt import verify_receipt
    from apps.inference.verify.report import verify_report

    policy, now_s = read_policy(root, measurement, allow_mock=allow_mock), _now(at)
    with _named(as_json=as_json):
        raw = _read(file)
        document = read_document(raw, MAX_EXCHANGE_BYTES)
        if "format" in document:
            service, found = verify_exchange(Exchange.decode(raw), policy=policy, now_s=now_s)
            has_bodies = True
        else:
            if report_file is None:
                raise typer.BadParameter("a bare receipt needs its report", param_hint="--report")
            shown = read_document(_read(report_file))
            service = verify_report(shown, nonce=nonce, policy=policy, now_s=now_s)
            bodies = [None if path is None else _read(path) for path in (request, response)]
            found = verify_receipt(document, service, request=bodies[0], response=bodies[1])
            has_bodies = None not in bodies
    facts = {
        "receipt_id": found.receipt_id,
        "model": found.model,
        "endpoint": found.endpoint,
        "served_at": found.served_at,
        "is_refusal": found.is_refusal,
        "bodies_verified": has_bodies,
    }
    _tell(_service_facts(service) | facts, as_json=as_json)


@verify_app.command()
def card(
    file: Annotated[Path, typer.Argument(help="A model's card, as `qanat ai job wait` wrote it.")],
    model: Annotated[Path | None, typer.Option(help="The model that it must be of.")] = None,
    hash_: Annotated[
        str | None, typer.Option("--hash", help="What the chain holds of the job, 64 hex digits.")
    ] = None,
    largest_auc: Annotated[
        float, typer.Option(help="How well an attack may find the rows; 0.5 is guessing.")
    ] = 1.0,
    as_json: JsonOption = False,
) -> None:
    """Verify a model's card: that it is the chain's, of this model, and keeps its eps."""
    verify_extra("a card of the data market")
    from apps.data_market.card import verify_card

    try:
        wanted = None if hash_ is None else bytes.fromhex(hash_.removeprefix("0x"))
    except ValueError:
        raise typer.BadParameter("it is 64 hex digits", param_hint="--hash") from None
    with _named(as_json=as_json):
        found = verify_card(
            _read(file),
            model=None if model is None else _read(model),
            card_hash=wanted,
            largest_auc=largest_auc,
        )
    facts = {
        "verified": True,
        "card_hash": found.card_hash.hex(),
        "is_hash_pinned": wanted is not None,
        "model_hash": found.model_hash.hex(),
        "is_model_verified": model is not None,
        "recipe": found.recipe,
        "eps": found.budget.eps,
        "delta": found.budget.delta,
        "spent_eps": found.spent_eps,
        "accuracy": found.accuracy,
        "attack_auc": found.attack_auc,
    }
    _tell(facts, as_json=as_json)


def _service_facts(service: "VerifiedService") -> dict[str, Any]:
    return {
        "verified": True,
        "keyset_digest": service.digest,
        "subject": service.keyset.subject,
        "measurement": service.measurement,
        "models": service.models,
        "is_mock": service.is_mock,
        "is_root_pinned": service.is_root_pinned,
        "is_measurement_pinned": service.is_measurement_pinned,
    }


def read_policy(root: Path | None, measurement: list[str] | None, *, allow_mock: bool) -> "Policy":
    """Read what is accepted, as the commands name it. Raises `UnreadableFile`."""
    from apps.inference.verify.policy import Policy

    return Policy(
        allow_mock=allow_mock,
        root_ca=None if root is None else _certificate(_read(root)),
        measurements=frozenset(measurement or ()),
    )


def _certificate(raw: bytes) -> bytes:
    if not raw.startswith(b"-----BEGIN"):
        return raw
    try:
        return base64.b64decode(b"".join(raw.split(b"-----")[2].split()))
    except (ValueError, IndexError) as error:
        raise UnreadableFile(f"the root is no certificate: {error}") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnreadableFile(f"{path}: {error.strerror}") from error


def _now(at: int | None) -> int:
    return int(time.time()) if at is None else at


@contextmanager
def _named(*, as_json: bool) -> Iterator[None]:
    """Tell a refusal by its name, and leave with status 1."""
    try:
        yield
    except Rejected as error:
        name = type(error).__name__
        if as_json:
            print(json.dumps({"verified": False, "error": name, "message": error.message}))
        else:
            err.print(f"refused: {name}: {error.message}", markup=False, soft_wrap=True)
        raise typer.Exit(1) from None


def _tell(facts: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(facts))
        return
    for name, value in facts.items():
        out.print(f"{name.replace('_', ' ')}: {value}", markup=False, soft_wrap=True)
    if facts.get("is_mock"):
        out.print("The TEE is a MOCK: this proves consistency, never secrecy.", markup=False)
