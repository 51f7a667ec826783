"""Failures of transactions and queries, by the modules and codes of the Oasis runtime SDK."""

from shared.errors import RuntimeRejected

CORE, ACCOUNTS = "core", "accounts"


class Refused(Exception):
    """A module's own refusal; its methods raise it, with a code of the module and a reason."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


def malformed_transaction(reason: str) -> RuntimeRejected:
    """`core` 1."""
    return RuntimeRejected(CORE, 1, f"malformed transaction: {reason}")


def invalid_method(method: str) -> RuntimeRejected:
    """`core` 3."""
    return RuntimeRejected(CORE, 3, f"invalid method: {method}")


def invalid_nonce() -> RuntimeRejected:
    """`core` 4."""
    return RuntimeRejected(CORE, 4, "invalid nonce")


def insufficient_fee_balance() -> RuntimeRejected:
    """`core` 5."""
    return RuntimeRejected(CORE, 5, "insufficient balance to pay fees")


def out_of_message_slots() -> RuntimeRejected:
    """`core` 6: this runtime sends no messages to consensus."""
    return RuntimeRejected(CORE, 6, "out of message slots")


def invalid_argument(reason: str) -> RuntimeRejected:
    """`core` 10."""
    return RuntimeRejected(CORE, 10, f"invalid argument: {reason}")


def gas_overflow() -> RuntimeRejected:
    """`core` 11."""
    return RuntimeRejected(CORE, 11, "gas overflow")


def out_of_gas(limit: int, wanted: int) -> RuntimeRejected:
    """`core` 12."""
    return RuntimeRejected(CORE, 12, f"out of gas (limit: {limit} wanted: {wanted})")


def too_many_authentication_slots() -> RuntimeRejected:
    """`core` 15: this runtime takes one signer."""
    return RuntimeRejected(CORE, 15, "too many authentication slots")


def gas_price_too_low() -> RuntimeRejected:
    """`core` 20."""
    return RuntimeRejected(CORE, 20, "gas price too low")


def invalid_call_format(reason: str) -> RuntimeRejected:
    """`core` 18."""
    return RuntimeRejected(CORE, 18, f"invalid call format: {reason}")


def not_authenticated() -> RuntimeRejected:
    """`core` 19."""
    return RuntimeRejected(CORE, 19, "not authenticated")


def read_only() -> RuntimeRejected:
    """`core` 25."""
    return RuntimeRejected(CORE, 25, "read-only transaction attempted modifications")


def future_nonce() -> RuntimeRejected:
    """`core` 26."""
    return RuntimeRejected(CORE, 26, "future nonce")


def outside_of_rounds() -> RuntimeRejected:
    """`core` 24: the round is before or after those the signer named."""
    return RuntimeRejected(CORE, 24, "transaction is expired or not yet valid")


def failed(kind: str) -> RuntimeRejected:
    """The program raised something that is no refusal; only the kind is told, not the text."""
    return RuntimeRejected("python", 4, f"the program failed: {kind}")
