"""
The language model: SmolLM2 by llama.cpp, in this process, on one thread.

llama.cpp opens an HTTP listener that nobody uses: a socket in a folder of our own, removed at
once, with a key that nobody has, and what would show prompts there is off. Nothing is kept between
requests: an answer hangs on its own prompt alone, and its time tells nothing of another's.
"""

import os
import tempfile
from pathlib import Path
from typing import Any

import xllamacpp

from apps.inference.errors import BadCompletion
from apps.inference.models.answered import CONTEXT_TOKENS, Answered, OnText
from apps.inference.models.weights import SMOLLM2, locate
from shared.crypto.entropy import Entropy

MODEL_ID = "smollm2-135m-instruct"
PROMPT_PART_TOKENS = 64
"""So much of a prompt is read between two questions whether to go on: half a second of CPU."""


class LanguageModel:
    """The model, loaded. One call at a time; it blocks, without holding the interpreter."""

    def __init__(self, entropy: Entropy) -> None:
        params: Any = xllamacpp.CommonParams()
        params.model.path = str(locate(SMOLLM2))
        params.n_ctx, params.n_parallel, params.n_threads_http = CONTEXT_TOKENS, 1, 1
        params.n_batch = params.n_ubatch = PROMPT_PART_TOKENS
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
        params.cache_prompt, params.cache_ram_mib, params.offline = False, 0, True
        params.endpoint_slots = params.endpoint_props = params.endpoint_metrics = params.ui = False
        params.verbosity = -1
        params.api_keys = [entropy.draw("inference: unused listener").hex()]
        with tempfile.TemporaryDirectory(prefix="qanat-llm-") as folder:
            # A socket's path has 107 bytes at most, and a worker's folders are deep.
            places = (folder, os.path.relpath(folder))
            params.hostnames = [str(Path(min(places, key=len)) / "unused.sock")]
            self._server: Any = xllamacpp.Server(params)
            # The folder goes, and the socket with it: nobody can reach the listener any more.

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
        """
        return self._run(self._server.handle_chat_completions, request, on_text)

    def complete(self, request: dict[str, Any], on_text: OnText) -> Answered:
        """Continue `prompt`; else as `chat`."""
        return self._run(self._server.handle_completions, request, on_text)

    def _run(self, handle: Any, request: dict[str, Any], on_text: OnText) -> Answered:
        reason, usage, refusal = "stop", {"prompt_tokens": 0, "completion_tokens": 0}, ""

        def take(chunk: dict[str, Any]) -> bool:
            nonlocal reason, usage, refusal
            if "error" in chunk:
                refusal = str(chunk["error"].get("message", "the model refused"))
                return True
            # An answer that is ended has no usage of its own: what was read and said by then.
            if "prompt_progress" in chunk:
                usage["prompt_tokens"] = chunk["prompt_progress"]["processed"]
            text = ""
            for choice in chunk.get("choices", ()):
                reason = choice.get("finish_reason") or reason
                text += choice.get("text") or (choice.get("delta") or {}).get("content") or ""
            usage["completion_tokens"] += bool(text)
            usage = chunk.get("usage") or usage
            return on_text(text)

        streamed = {"stream": True, "stream_options": {"include_usage": True}}
        answer = handle({**request, **streamed, "return_progress": True}, take)
        if isinstance(answer, dict):
            take(answer)
        if refusal:
            raise BadCompletion(refusal)
        return Answered(reason, int(usage["prompt_tokens"]), int(usage["completion_tokens"]))
