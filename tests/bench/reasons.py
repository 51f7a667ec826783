"""
Why a figure misses what it must reach, and the design that would reach it.

The page shows a reason where its figure misses, and there alone.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Reason:
    """Of figures that miss together."""

    keys: tuple[str, ...]
    """Rows, by their key."""
    why: str
    """What costs, with the command or the decision record that shows it."""
    design: str
    """What would reach it."""


REASONS = (
    Reason(
        keys=(
            "plain p50",
            "encrypted p50",
        ),
        why=(
            "Two cores do the work of ten processes: three workers and a backup, each with an "
            "enclave, a consensus node and a gateway. `make profile` counts their CPU and shows "
            "the stages; the wait is about half of the CPU, so 8 ms of wait are some 15 ms of "
            "CPU. What works is flat Python: no function of it stands out in the flame graphs. And "
            "each process wakes for a part of a millisecond, with caches that others have used "
            "meanwhile; the last row says how much longer the same takes then. The row is taken "
            "of a network that is some seconds old; after a hundred transfers it is a tenth less, "
            "see the fresh network beside the aged one."
        ),
        design=(
            "One worker takes less than two thirds of it, see its row: what is short is CPU. "
            "On three: the worker's part in a round (take a proposal, ask the enclave, vote) and "
            "the following of blocks as a native loop in the host, as records, headers and proofs "
            "are already. ADR 0057 has what did not help."
        ),
    ),
    Reason(
        keys=("single p50",),
        why=(
            "Replication is not what costs here, but hops: client, gateway, host, enclave, host, "
            "consensus, gateway, client. Each is a task of an event loop in Python that has "
            "to be woken; `make profile` shows them as the stages between two services."
        ),
        design=(
            "The host and the gateway of a network with one worker as one process, or native "
            "message loops in both."
        ),
    ),
    Reason(
        keys=(
            "closed plain",
            "closed encrypted",
            "in flight plain",
            "in flight encrypted",
            "batches",
        ),
        why=(
            "Under load a round takes many transactions, so what counts is the CPU of one "
            "transaction without its round: its check in an enclave, its execution in three "
            "enclaves, its changes in a fourth, its gossip, its index and its receipt. Hardhat "
            "executes once, and neither signs, encrypts nor replicates. The round itself is about "
            "as much again (ADR 0055)."
        ),
        design="Cheaper rounds, see above; receipts encoded natively, as index entries are read.",
    ),
    Reason(
        keys=(
            "calls plain",
            "calls encrypted",
        ),
        why=(
            "Hardhat answers in the process that was asked; here a call passes a gateway, a host "
            "and an enclave, and what those cost is messages between processes on two cores that "
            "all of them share (the table above; ADR 0043, 0078 and 0080 have what was saved). An "
            "encrypted one adds an X25519 and a Deoxys-II both ways in the enclave, where Hardhat "
            "does neither."
        ),
        design=(
            "The gateway asks enclaves without a host in between, which takes a third of the "
            "messages off; and its part of a call (read, ask, answer) natively."
        ),
    ),
    Reason(
        keys=("storage",),
        why=(
            "Four enclaves hash, seal and write the nodes of 220 fresh slots, on two cores, where "
            "Hardhat changes a map in memory; and no transaction can take less than a transfer "
            "does. ADR 0054, 0088 and 0089 have the work of one enclave by function, and what did "
            "not help. On a quiet machine it is just reached: with the same CPU, five repetitions "
            "an hour earlier took 9.5 ms, 2.46x (ADR 0089)."
        ),
        design=(
            "A cheaper transfer first, which is more than half of it: a worker's part in a round "
            "and the following of blocks as a native loop in hosts. What is left is spread "
            "thinly; cores for its enclaves would take three of the four copies off the clock."
        ),
    ),
    Reason(
        keys=(
            "start",
            "resume",
        ),
        why=(
            "Interpreters start and import: hosts and enclaves are forked from processes that "
            "loaded once (ADR 0031), which has to happen at least once. A chain that resumes also "
            "proves its newest state to every enclave and begins an epoch before it is ready: the "
            "secrets of the one before were in enclaves that have ended."
        ),
        design="A launcher that stays between two networks and keeps what it loaded.",
    ),
    Reason(
        keys=("memory",),
        why=(
            "Eighteen processes: an interpreter with its modules is 10 to 20 MiB of each, of "
            "which forks share what is not written to. Enclaves are processes of their own by "
            "design, and share nothing with hosts (ADR 0031)."
        ),
        design=(
            "One enclave process for several nodes of a devnet would save most, and give up that "
            "each enclave is what was measured."
        ),
    ),
    Reason(
        keys=("idle",),
        why=(
            "A round wakes ten processes, and each finds its caches cold; the last row says what "
            "that costs. Where others use the machine's caches as well, such a round takes up to "
            "150 ms of CPU; one under load, with a transfer in it, takes 12."
        ),
        design="Rounds come every 20 s where nobody asks (ADR 0087): they could be more seldom.",
    ),
    Reason(
        keys=("model share",),
        why=(
            "The model is stopped for most of the time while others want the CPU, and has "
            "the least weight for the rest of it (ADR 0073). What is left is what it does to the "
            "caches of two cores, and the tenths of a second until it is seen that they are "
            "wanted."
        ),
        design="A worker that tells the model of a round before it opens, and not after.",
    ),
    Reason(
        keys=("long whole revert",),
        why=(
            "Every node takes back what each of the 10,000 transactions changed: four states and "
            "their rounds. The gateway's index leaves its rows to be replaced (ADR 0079)."
        ),
        design="Going back to a kept root, and dropping what lies above it beside later blocks.",
    ),
    Reason(
        keys=("aged share",),
        why=(
            "Chance, as far as is known: of two networks that are started together and both one "
            "block old, the same measure said 100.7 %, and single turns differ by a tenth. The "
            "network ages with its blocks by what the curves below say."
        ),
        design="More turns, on a machine that is as fast at one moment as at the next.",
    ),
    Reason(
        keys=("hashing",),
        why=(
            "The interpreter is revm, as Anvil's is, so the hashes cost the same; the answer also "
            "passes an enclave's channel, a host and the gateway."
        ),
        design="None but fewer hops, as above: the rest is the same code.",
    ),
)


def reason_of(key: str) -> Reason | None:
    """Give why a row misses; None where nobody has found out."""
    return next((reason for reason in REASONS if key in reason.keys), None)
