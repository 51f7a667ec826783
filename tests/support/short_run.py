"""
The short run of the tests, which `make test` is for a developer.

It leaves out what is marked `long`, and tries each property with fewer examples. CI,
`make test ALL=1` and a pytest started by hand run everything.
"""

import os

IS_SHORT = os.environ.get("QANAT_SHORT_TESTS") == "1"
FEWEST_EXAMPLES = 10


def examples(number: int) -> int:
    """Give how many examples a property is tried with: in a short run a tenth, at least ten."""
    if not IS_SHORT:
        return number
    return min(number, max(FEWEST_EXAMPLES, number // 10))
