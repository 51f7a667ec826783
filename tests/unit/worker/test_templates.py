"""Variables in texts of a Compose file."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.worker.rules.templates import (
    BadTemplate,
    VariableMissing,
    fill_template,
    verify_template,
)

KNOWN = {"A": "one", "EMPTY": "", "_B2": "$A"}


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        ("plain", "plain"),
        ("$A-${A}", "one-one"),
        ("${_B2}", "$A"),
        ("$$A $$${A}", "$A $one"),
        ("[${NONE}]", "[]"),
        ("${NONE:-two words}", "two words"),
        ("${EMPTY:-two}${EMPTY-two}", "two"),
        ("${A:?why}${EMPTY?why}", "one"),
    ],
)
def test_variables_come_to_their_places(template: str, filled: str) -> None:
    verify_template(template)
    assert fill_template(template, KNOWN) == filled


@pytest.mark.parametrize("template", ["$", "a $ b", "${", "${A", "${1}", "${A:+x}", "${A:-${B}}"])
def test_a_dollar_that_names_nothing_is_refused_before_it_is_filled(template: str) -> None:
    with pytest.raises(BadTemplate, match=r"\$\$"):
        verify_template(template)
    with pytest.raises(BadTemplate):
        fill_template(template, KNOWN)


@pytest.mark.parametrize("template", ["${NONE:?why}", "${NONE?why}", "${EMPTY:?why}"])
def test_a_variable_that_is_insisted_on_must_be_there(template: str) -> None:
    verify_template(template)
    with pytest.raises(VariableMissing, match="why"):
        fill_template(template, KNOWN)


@given(st.text())
def test_any_text_is_read_or_refused(template: str) -> None:
    try:
        verify_template(template)
    except BadTemplate:
        return
    fill_template(template.replace("?", "-"), {})
