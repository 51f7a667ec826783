"""Embeddings of MiniLM: 384 numbers a text, the same on every worker of one kind of processor."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
from tokenizers import Tokenizer

from apps.inference.models.weights import MINILM, MINILM_TOKENIZER, locate

MODEL_ID = "all-minilm-l6-v2"
DIMENSIONS = 384
MAX_TOKENS = 256
"""Longer texts are cut, as the model was trained. Source: its model card."""


class Embedder:
    """The model, loaded; one thread, so that blocks keep their time."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        # Its default asks the machine's topology and logs what it finds.
        options.log_severity_level = 4
        self._session = onnxruntime.InferenceSession(
            str(locate(MINILM)), options, providers=["CPUExecutionProvider"]
        )
        self._tokenizer: Any = Tokenizer.from_file(str(locate(MINILM_TOKENIZER)))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MAX_TOKENS)

    def embed(self, texts: Sequence[str]) -> tuple[list[list[float]], int]:
        """Give a unit vector for each text, and how many tokens were read."""
        vectors, tokens = [], 0
        for text in texts:
            ids = np.array([self._tokenizer.encode(text).ids], dtype=np.int64)
            tokens += ids.shape[1]
            vectors.append([float(one) for one in self._embed(ids)])
        return vectors, tokens

    def _embed(self, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        inputs = {
            "input_ids": ids,
            "attention_mask": np.ones_like(ids),
            "token_type_ids": np.zeros_like(ids),
        }
        hidden: npt.NDArray[np.float32] = self._session.run(None, inputs)[0]
        mean = hidden[0].mean(axis=0)
        unit: npt.NDArray[np.float32] = mean / np.linalg.norm(mean)
        return unit
