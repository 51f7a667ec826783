"""The language model: SmolLM2 by llama.cpp, in a process that pauses where others want the CPU."""

import json
import select
import socket
import subprocess
import sys
import time
import weakref
from typing import Any

from apps.inference.errors import BadCompletion, ModelEnded, ModelSilent
from apps.inference.models import llama
from apps.inference.models.answered import Answered, OnText
from apps.inference.models.pace import BUSY_SHARE, Pace
from apps.inference.models.weights import SMOLLM2, locate
from shared.crypto.entropy import Entropy

MODEL_ID = "smollm2-135m-instruct"
ASKED_EVERY_S = 0.05
"""So often is asked whether to go on while the model says nothing [s]."""
SILENCE_S = 120.0
"""
So long may it say nothing, neither a token nor that it read a part of its prompt, which takes half
a second of CPU [s]. An answer as a whole has no limit but its tokens: how long these take is for
the machine to say.
"""
START_TIMEOUT_S = 120.0
_READ_BYTES = 1 << 16
# It finds modules where this process does, whatever the environment says.
_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    f"from {llama.__name__} import run; run(int(sys.argv[2]))"
)


class LanguageModel:
    """
    The model, loaded. One call at a time; it blocks, without holding the interpreter.

    Its process ends with the thread that loaded it, and is made again where it ended by itself.
    """

    def __init__(
        self, entropy: Entropy, busy_share: float = BUSY_SHARE, silence_s: float = SILENCE_S
    ) -> None:
        self._entropy, self._busy_share, self._silence_s = entropy, busy_share, silence_s
        self._process = _Process(entropy, busy_share)

    def chat(self, request: dict[str, Any], on_text: OnText) -> Answered:
        """
        Answer a conversation.

        Parameters
        ----------
        request : `dict`
            `messages` and sampling, as OpenAI has them, checked.
        on_text : callable
            Gets the answer piece by piece, in the calling thread.

        Raises
        ------
        BadCompletion
            The prompt does not fit, or cannot be read.
        ModelEnded
            The model's process ended; another try has a new one.
        ModelSilent
            It stood still, and was ended.
        """
        return self._run("handle_chat_completions", request, on_text)

    def complete(self, request: dict[str, Any], on_text: OnText) -> Answered:
        """Continue `prompt`; else as `chat`."""
        return self._run("handle_completions", request, on_text)

    def _run(self, route: str, request: dict[str, Any], on_text: OnText) -> Answered:
        if self._process.has_ended:
            self._process = _Process(self._entropy, self._busy_share)
        streamed = {"stream": True, "stream_options": {"include_usage": True}}
        asked = {**request, **streamed, "return_progress": True}
        return self._process.answer(route, asked, on_text, self._silence_s)


class _Answer:
    """What is known of an answer while it comes, as llama.cpp tells it."""

    def __init__(self) -> None:
        self.reason, self.refusal = "stop", ""
        self.usage = {"prompt_tokens": 0, "completion_tokens": 0}

    def take(self, chunk: dict[str, Any]) -> str:
        """Take what came; gives its text."""
        if "error" in chunk:
            self.refusal = str(chunk["error"].get("message", "the model refused"))
            return ""
        # An answer that is ended has no usage of its own: what was read and said by then.
        if "prompt_progress" in chunk:
            self.usage["prompt_tokens"] = chunk["prompt_progress"]["processed"]
        text = ""
        for choice in chunk.get("choices", ()):
            self.reason = choice.get("finish_reason") or self.reason
            text += choice.get("text") or (choice.get("delta") or {}).get("content") or ""
        self.usage["completion_tokens"] += bool(text)
        self.usage = chunk.get("usage") or self.usage
        return text

    def result(self) -> Answered:
        """Give how it ended, or raise `BadCompletion`."""
        if self.refusal:
            raise BadCompletion(self.refusal)
        used = self.usage
        return Answered(self.reason, int(used["prompt_tokens"]), int(used["completion_tokens"]))


class _Process:
    """One process of `llama.py`."""

    def __init__(self, entropy: Entropy, busy_share: float) -> None:
        how = {
            "path": str(locate(SMOLLM2)),
            "key": entropy.draw("inference: unused listener").hex(),
        }
        self._connection, theirs = socket.socketpair()
        with theirs:
            command = (sys.executable, "-I", "-B", "-c", _PROGRAM)
            arguments = (json.dumps(sys.path), str(theirs.fileno()))
            self._process = subprocess.Popen(
                [*command, *arguments],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=busy_share < 1,
            )
        self._close = weakref.finalize(self, _end, self._process, self._connection)
        self._pace = Pace(self._process.pid, busy_share)
        self._unread, self._number = b"", 0
        self._send(how)
        if self._receive(START_TIMEOUT_S) is None:
            self._close()
            raise ModelEnded(f"the model is not loaded after {START_TIMEOUT_S:.0f} s")

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def answer(
        self, route: str, request: dict[str, Any], on_text: OnText, silence_s: float
    ) -> Answered:
        self._number += 1
        answer, is_ended = _Answer(), False
        # A request may be longer than what a socket holds for who does not read.
        self._pace.begin()
        self._send({"number": self._number, "route": route, "request": request})
        heard_s = time.monotonic()
        try:
            while not is_ended:
                due_s = self._pace.step()
                said = self._receive(ASKED_EVERY_S if due_s is None else min(due_s, ASKED_EVERY_S))
                if said is not None:
                    heard_s = time.monotonic()
                elif time.monotonic() - heard_s > silence_s:
                    # It would stand still for the next one as well.
                    self._close()
                    raise ModelSilent(f"the model has said nothing for {silence_s:g} s; try again")
                if said is None:
                    wanted = not on_text("")
                elif said["number"] != self._number:
                    # Of an answer that nobody wanted to its end.
                    continue
                else:
                    is_ended = "is_last" in said
                    text = "" if said["chunk"] is None else answer.take(said["chunk"])
                    wanted = not answer.refusal and not on_text(text)
                if not wanted:
                    break
        finally:
            if not is_ended and self._close.alive:
                # It stays where it is until the next request, and looks at this first then.
                self._pace.stop()
                self._send({"unwanted": self._number})
        return answer.result()

    def _send(self, said: dict[str, Any]) -> None:
        try:
            self._connection.sendall(json.dumps(said).encode() + b"\n")
        except OSError:
            raise self._ended() from None

    def _receive(self, timeout_s: float) -> dict[str, Any] | None:
        """Give what it says next; None where it says nothing for so long."""
        while b"\n" not in self._unread:
            if not select.select([self._connection], [], [], timeout_s)[0]:
                return None
            read = self._connection.recv(_READ_BYTES)
            if not read:
                raise self._ended()
            self._unread += read
        line, _, self._unread = self._unread.partition(b"\n")
        said: dict[str, Any] = json.loads(line)
        return said

    def _ended(self) -> ModelEnded:
        self._close()
        return ModelEnded("the model's process ended; try again")


def _end(process: subprocess.Popen[bytes], connection: socket.socket) -> None:
    connection.close()
    process.kill()
    process.wait()
