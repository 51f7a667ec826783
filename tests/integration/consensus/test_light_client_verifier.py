"""Another team's light client, in Rust, follows the headers of `solo`."""

import dataclasses
import json
import shutil
import subprocess

import pytest

from shared.types.proof import LightBlock, Validator
from tests.support.chains import POWER, SIGNER, SoloChain
from tests.support.cometbft_json import light_block_json, rfc3339
from tests.support.counter import transaction
from tests.support.networks import ROOT

CARGO = ROOT / "scripts" / "cargo.sh"
MANIFEST = ["--quiet", "--locked", f"--manifest-path={ROOT}/tests/light_client_verifier/Cargo.toml"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # the first build compiles 50 crates


@pytest.fixture(scope="module")
def verifier():
    """Command that runs the program; it is built where that is needed."""
    if shutil.which("cargo") is None:
        pytest.skip("cargo is missing, so the Rust light client cannot be built")
    built = subprocess.run([CARGO, "build", *MANIFEST], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return [str(CARGO), "run", *MANIFEST]


def verdicts(
    verifier: list[str], blocks: list[tuple[LightBlock, tuple[Validator, ...]]]
) -> list[str]:
    now_ns = blocks[-1][0].header.time_ns + 1_000_000_000
    request = {
        "now": rfc3339(now_ns),
        "blocks": [light_block_json(block, following) for block, following in blocks],
    }
    done = subprocess.run(
        verifier, input=json.dumps(request), capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def blocks():
    """Twelve blocks, with transactions, a block of two parts, and a change of power."""
    chain = SoloChain().started()
    nonce = 0
    for height in range(1, 13):
        chain.clock.advance(250_000_123)
        if height == 3:
            chain.engine.submit(transaction(nonce, "validator", f"{SIGNER.public_key.hex()}:77"))
            nonce += 1
        if height == 6:
            for _ in range(25):
                chain.engine.submit(transaction(nonce, f"key{nonce}", "v" * 2_600))
                nonce += 1
        if height % 2:
            chain.engine.submit(transaction(nonce, "key", str(height)))
            nonce += 1
        chain.engine.make_block()
    made = [chain.store.blocks.load(height).light_block for height in range(1, 13)]
    following = [block.validators for block in made[1:]] + [chain.engine.chain.validators]
    return list(zip(made, following, strict=True))


@pytest.mark.long
def test_every_step_from_block_to_block_is_verified(verifier, blocks):
    assert max(block.commit.block_id.parts_total for block, _ in blocks) == 2
    assert {block.validators[0].power for block, _ in blocks} == {POWER, 77}
    assert verdicts(verifier, blocks) == ["verified"] * 11


def test_a_step_that_skips_blocks_is_verified(verifier, blocks):
    assert verdicts(verifier, [blocks[0], blocks[7], blocks[11]]) == ["verified"] * 2


@pytest.mark.parametrize("field", ["app_hash", "data_hash", "last_results_hash", "evidence_hash"])
def test_a_changed_header_is_refused(verifier, blocks, field):
    block, following = blocks[1]
    header = dataclasses.replace(block.header, **{field: b"\x11" * 32})
    changed = dataclasses.replace(block, header=header)
    (verdict,) = verdicts(verifier, [blocks[0], (changed, following)])
    assert "header_hash" in verdict


def test_a_changed_signature_is_refused(verifier, blocks):
    block, following = blocks[1]
    vote = block.commit.signatures[0]
    forged = dataclasses.replace(vote, time_ns=vote.time_ns + 1)
    commit = dataclasses.replace(block.commit, signatures=(forged,))
    changed = dataclasses.replace(block, commit=commit)
    (verdict,) = verdicts(verifier, [blocks[0], (changed, following)])
    assert "ignature" in verdict
