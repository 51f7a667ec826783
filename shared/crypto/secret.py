"""Secret bytes that do not show themselves."""


class SecretBytes:
    """
    A byte string that no log, traceback or repr prints.

    `reveal` is the only way to the bytes, so that each use can be found by its name.
    """

    __slots__ = ("_raw",)

    def __init__(self, raw: bytes) -> None:
        self._raw = bytes(raw)

    def reveal(self) -> bytes:
        """Give the bytes to the code that computes with them."""
        return self._raw

    def __repr__(self) -> str:
        return "<secret>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretBytes) and self._raw == other._raw

    def __hash__(self) -> int:
        return hash((SecretBytes, self._raw))

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a secret is not pickled")
