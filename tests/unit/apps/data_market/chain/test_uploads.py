"""Uploads open by their key only, and parameters read as they were written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.public import PrivateKey

from apps.boxes import seal_to
from apps.data_market.chain.uploads import (
    MAX_UPLOAD_BYTES,
    DatasetUpload,
    OrderUpload,
    Params,
    Place,
    open_sealed,
    precision_units,
    read_params,
)
from apps.data_market.errors import BadJob, BadUpload
from shared.errors import Rejected

KEY = PrivateKey(bytes(range(32)))
UPLOAD = DatasetUpload(Place(0x5AFD, b"m" * 20), b"c" * 32, b"s" * 32, "kind", b"a,kind\n1,x")
PARAMS = Params("dp-logreg/1", 1.0, 1e-3, "kind")


def test_what_was_sealed_is_opened():
    sealed = seal_to(bytes(KEY.public_key), UPLOAD)
    assert UPLOAD.csv not in sealed
    assert open_sealed(KEY, DatasetUpload, sealed) == UPLOAD


def test_each_sealing_is_another_one():
    sealed = {seal_to(bytes(KEY.public_key), UPLOAD) for _ in range(3)}
    assert len(sealed) == 3


def test_another_key_opens_nothing():
    with pytest.raises(BadUpload, match="not sealed"):
        open_sealed(PrivateKey.generate(), DatasetUpload, seal_to(bytes(KEY.public_key), UPLOAD))


def test_another_document_is_none():
    with pytest.raises(BadUpload, match="no OrderUpload"):
        open_sealed(KEY, OrderUpload, seal_to(bytes(KEY.public_key), UPLOAD))


def test_too_many_bytes_are_not_opened():
    with pytest.raises(BadUpload, match="at most"):
        open_sealed(KEY, DatasetUpload, bytes(MAX_UPLOAD_BYTES + 1))


@given(st.integers(0, 400), st.integers(1, 255))
def test_a_changed_byte_opens_nothing(place, change):
    sealed = bytearray(seal_to(bytes(KEY.public_key), UPLOAD))
    sealed[place % len(sealed)] ^= change
    with pytest.raises(BadUpload):
        open_sealed(KEY, DatasetUpload, bytes(sealed))


@given(st.binary(max_size=300))
def test_parameters_are_read_or_refused(untrusted):
    with pytest.raises(Rejected):
        read_params(untrusted)


def test_parameters_are_read_as_they_were_written():
    assert read_params(PARAMS.encode()) == PARAMS


@pytest.mark.parametrize(
    "text",
    [
        b'{"delta":0.001,"eps":1.0,"label":"kind","recipe":"dp-logreg/1" }',
        b'{"delta":0.001,"eps":"1.0","label":"kind","recipe":"dp-logreg/1"}',
        b'{"delta":0.001,"eps":1.0,"label":"kind","more":1,"recipe":"dp-logreg/1"}',
        b"[]",
        b"[[[[[[[[",
    ],
)
def test_another_text_of_them_is_refused(text):
    with pytest.raises(BadUpload):
        read_params(text)


@pytest.mark.parametrize(("eps", "delta"), [(0.0, 1e-3), (1e9, 1e-3), (1.0, 0.0), (1.0, 1.0)])
def test_an_impossible_budget_is_refused(eps, delta):
    with pytest.raises(BadJob):
        read_params(Params("dp-logreg/1", eps, delta, "kind").encode())


def test_hash_names_every_parameter():
    others = [
        Params("dp-logreg/2", 1.0, 1e-3, "kind"),
        Params("dp-logreg/1", 2.0, 1e-3, "kind"),
        Params("dp-logreg/1", 1.0, 1e-4, "kind"),
        Params("dp-logreg/1", 1.0, 1e-3, "sort"),
    ]
    assert len({one.hash for one in [PARAMS, *others]}) == 5


def test_precision_is_never_rounded_down():
    assert precision_units(1e-12) == 1
    assert precision_units(1.1e-12) == 2
    assert precision_units(0.5) == 500_000_000_000
    assert PARAMS.precision > 0
