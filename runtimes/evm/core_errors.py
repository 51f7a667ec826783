"""Errors of the native core as this project's."""

from collections.abc import Iterator
from contextlib import contextmanager

import evm_native

from runtimes.native_state import errors_of_the_store
from shared.errors import QanatError, RuntimeRejected


@contextmanager
def errors_of_the_core() -> Iterator[None]:
    """Raise `RuntimeRejected`, `StateRejected`, or what the key ring raised."""
    try:
        with errors_of_the_store():
            yield
    except evm_native.CallFailed as error:
        raise RuntimeRejected(error.module, error.code, error.message, error.data) from None
    except evm_native.HostError as error:
        # A key could not be fetched: tell why, as the key ring did.
        if isinstance(error.__cause__, QanatError):
            raise error.__cause__ from None
        raise
