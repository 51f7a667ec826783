"""Errors of the native core as this project's."""

import evm_native

from runtimes.native_state import ErrorsOfTheStore
from shared.errors import QanatError, RuntimeRejected


class ErrorsOfTheCore(ErrorsOfTheStore):
    """Raises `RuntimeRejected`, `StateRejected`, or what the key ring raised."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Tell of what went wrong meanwhile."""
        if error is None:
            return
        if isinstance(error, evm_native.CallFailed):
            failed = error.module, error.code, error.message, error.data
            raise RuntimeRejected(*failed) from None
        if isinstance(error, evm_native.HostError) and isinstance(error.__cause__, QanatError):
            # A key could not be fetched: tell why, as the key ring did.
            raise error.__cause__ from None
        super().__exit__(kind, error, trace)


errors_of_the_core = ErrorsOfTheCore()
