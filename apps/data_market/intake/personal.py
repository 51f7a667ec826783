"""
What a table must not hold: numbers and labels by which a person is known.

A private model hides a row among others, and never a column that is about nobody else. Numbers are
told by their check digits (`python-stdnum`): a tenth of any numbers passes one by chance, so nearly
all of a column's have to. Kinds of files are told by `puremagic`.
"""

import re
from collections.abc import Callable, Sequence

import puremagic
from stdnum import iban, luhn
from stdnum.be import nn
from stdnum.br import cpf
from stdnum.de import idnr
from stdnum.fr import nir
from stdnum.gb import nhs
from stdnum.in_ import aadhaar
from stdnum.nl import bsn
from stdnum.pl import pesel
from stdnum.ro import cnp
from stdnum.tr import tckimlik

from apps.data_market.errors import PersonalData

SAMPLED_ROWS = 500
"""Rows of a table that are looked at; a column is of one kind."""
LEAST_NUMBERS, SHARE = 12, 0.9
"""So many different ones of a column, of which so many pass: by chance less than once in 1e9."""
WHOLE = re.compile(r"\d{9,19}", re.ASCII)
# Not by a parser of mail: the standard library's fails in ways of its own on what is none.
ADDRESS = re.compile(r"[^@\s]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
CARD_DIGITS = range(13, 20)
SNIFFED_BYTES = 4096

KINDS: Sequence[tuple[str, Callable[[str], bool]]] = (
    ("numbers of payment cards or devices", lambda text: len(text) in CARD_DIGITS and _luhn(text)),
    ("Belgian national numbers", nn.is_valid),
    ("Brazilian CPF numbers", cpf.is_valid),
    ("German tax numbers", idnr.is_valid),
    ("French NIR numbers", nir.is_valid),
    ("British NHS numbers", nhs.is_valid),
    ("Indian Aadhaar numbers", aadhaar.is_valid),
    ("Dutch BSN numbers", lambda text: len(text) == 9 and bool(bsn.is_valid(text))),
    ("Polish PESEL numbers", pesel.is_valid),
    ("Romanian CNP numbers", cnp.is_valid),
    ("Turkish identity numbers", tckimlik.is_valid),
)


def verify_not_personal(
    features: Sequence[str], sample: Sequence[Sequence[str]], labels: Sequence[str]
) -> None:
    """
    Refuse what says who somebody is, by column and kind; no cell is quoted.

    Parameters
    ----------
    features : `Sequence[str]`
        Names of the columns.
    sample : `Sequence[Sequence[str]]`
        Cells of some rows, in that order.
    labels : `Sequence[str]`
        Of all rows.

    Raises
    ------
    PersonalData
        A column's numbers, or a label, are of such a kind.
    """
    for name, column in zip(features, zip(*sample, strict=True), strict=True):
        numbers = {cell for cell in map(str.strip, column) if WHOLE.fullmatch(cell)}
        if len(numbers) < LEAST_NUMBERS:
            continue
        for kind, is_one in KINDS:
            if sum(map(is_one, numbers)) >= SHARE * len(numbers):
                raise PersonalData(f"column {name} holds {kind}, by which a person is known")
    for label in dict.fromkeys(labels):
        if ADDRESS.fullmatch(label):
            raise PersonalData("a label is an e-mail address, by which a person is known")
        if iban.is_valid(label):
            raise PersonalData("a label is an IBAN, by which a person is known")


def kind_of_file(raw: bytes) -> str:
    """Say what a file that is no table seems to be; empty where nothing is known."""
    try:
        found = puremagic.magic_string(raw[:SNIFFED_BYTES])
    except (puremagic.PureError, ValueError):
        return ""
    return str(found[0].name) if found else ""


def _luhn(text: str) -> bool:
    # A column of one digit, repeated, is none.
    return bool(luhn.is_valid(text)) and len(set(text)) > 1
