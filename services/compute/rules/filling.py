"""
Whether the first scheduler of a round waits for more transactions than are there (ADR 0055).

A round costs about the same however many it holds, and who had one in the last round may send the
next as soon as it hears of it. So after a round of many the scheduler waits until as many have
come, and at most for as long as that round took: if they do not come, the wait cost no more than a
round without them would have. Where waits have paid it waits twice as long, and forgives a few in
vain: one stumble would else split those who send into two halves, each of which waits for the round
of the other. Where waits lately did not pay, it does not wait.
"""

NS_PER_MS = 1_000_000
BUSY_SIZE = 4
"""Transactions of a round after which the next one is worth a wait."""
LONGEST_NS = 25 * NS_PER_MS
"""Longest wait [ns]; twice as long where waits have paid."""
MOST_TRUST = 3
"""Waits in vain that are forgiven after as many that paid, or more."""
FIRST_PAUSE, LONGEST_PAUSE = 8, 64
"""Rounds of many that begin at once after a wait in vain; twice as many after each more."""


class Filling:
    """Of one node, round after round."""

    def __init__(self) -> None:
        self.until_ns = 0
        """When nobody waits for more any longer [Unix ns]."""
        self._sizes = (0, 0, 0)
        self._wanted = self._waited = 0
        self._is_open = False
        self._trust, self._pause, self._next_pause = 0, 0, FIRST_PAUSE

    def begin(self, now_ns: int, *, last_size: int, took_ns: int, waiting: int) -> None:
        """
        Begin a round.

        Parameters
        ----------
        now_ns : `int`
            When the one before became final here [Unix ns].
        last_size : `int`
            Transactions that it held.
        took_ns : `int`
            How long it took from its proposal, as this node saw it [ns].
        waiting : `int`
            Transactions that wait already.
        """
        self._sizes = (*self._sizes[1:], last_size)
        self.until_ns, self._waited, self._is_open = now_ns, waiting, False
        # Of a larger round before, some may have missed the last one, and come as well.
        self._wanted = max(last_size, max(self._sizes) - waiting)
        if max(self._sizes) < BUSY_SIZE:
            return
        if self._pause > 0:
            self._pause -= 1
            return
        self._is_open = True
        longest_ns = min(took_ns, LONGEST_NS)
        self.until_ns = now_ns + (2 * longest_ns if self._trust > 1 else longest_ns)

    def is_filling(self, waiting: int, now_ns: int) -> bool:
        """Say whether to wait for more than wait now."""
        return now_ns < self.until_ns and waiting - self._waited < self._wanted

    def end(self, waiting: int) -> None:
        """Learn from what waits at the proposal whether the wait paid: whether half came back."""
        if not self._is_open:
            return
        self._is_open = False
        if 2 * (waiting - self._waited) >= self._wanted:
            self._trust = min(self._trust + 1, MOST_TRUST)
            self._next_pause = FIRST_PAUSE
        elif self._trust > 0:
            self._trust -= 1
        else:
            self._pause = self._next_pause
            self._next_pause = min(2 * self._next_pause, LONGEST_PAUSE)
