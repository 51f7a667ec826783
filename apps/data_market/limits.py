"""How much the market takes; from them follows that no integer of a valuation overflows."""

MAX_FEATURES = 1024
"""Columns beside the label. Source: `value/neighbours.py`, keys of 63 bits."""
MAX_ROWS = 1 << 19
"""Rows of all contributors of one job. Source: `value/neighbours.py`, keys of 63 bits."""
MAX_VALIDATION_ROWS = 1 << 16
"""Rows of the model owner's validation set; sums of values stay below 2^56."""
MAX_CLASSES = 256
"""Different labels of one job."""
MAX_CONTRIBUTORS = 256
"""Contributors of one job."""
MAX_NEIGHBOURS = 100
"""Votes of one validation row, which are counted in eight bits."""
