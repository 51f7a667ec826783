"""Texts are shown as they are written: Rich reads `[s]` as a style and leaves it out."""

import signal
from collections.abc import Iterator
from typing import Any

import pytest
from rich.text import Text
from typer.main import get_command

from qanat import cli
from shared.errors import QanatError


def texts_of(command: Any) -> Iterator[str]:
    """Help of a command, of its options, and of the commands below it."""
    yield command.help or ""
    for parameter in command.params:
        yield getattr(parameter, "help", None) or ""
    for below in getattr(command, "commands", {}).values():
        yield from texts_of(below)


def test_help_has_no_word_that_is_left_out() -> None:
    texts = list(texts_of(get_command(cli.app)))
    assert len(texts) > 100
    assert [text for text in texts if Text.from_markup(text).plain != text] == []


def test_error_is_shown_with_its_brackets(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise QanatError("no name in [consensus], [[paratime]]")

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(SystemExit):
        cli.main()
    assert "no name in [consensus], [[paratime]]" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN, "its end is no place for Ctrl-C"
