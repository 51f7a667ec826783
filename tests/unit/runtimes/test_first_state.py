"""The genesis of an EVM: parameters in memory, accounts on a disk that is not believed."""

import pytest

from runtimes.evm.first_state import GENESIS_FILE, KEPT_IN_MEMORY_BYTES, FirstState
from shared.enclave.errors import StateRejected
from shared.encoding.record import encode_record
from shared.types.evm import EvmGenesis, EvmGenesisAccount

FUNDED = tuple((number.to_bytes(20, "big"), b"\x07") for number in range(1, 4_000))
WHOLE = EvmGenesisAccount(b"\xaa" * 20, 5, 1, b"\x00", ((3, 9),))


def genesis_of(funded: tuple[tuple[bytes, bytes], ...]) -> bytes:
    return encode_record(EvmGenesis(0x5AFD, funded, batch_gas_limit=77, accounts=(WHOLE,)))


def test_a_large_genesis_lies_on_the_disk_and_is_read_from_it(tmp_path):
    raw = genesis_of(FUNDED)
    assert len(raw) > KEPT_IN_MEMORY_BYTES
    first = FirstState(raw, tmp_path)
    assert first.parameters == EvmGenesis(0x5AFD, (), batch_gas_limit=77)
    assert (tmp_path / GENESIS_FILE).read_bytes() == raw
    assert first.accounts() == [
        *((address, 7) for address, _ in FUNDED),
        (WHOLE.address, 5, 1, b"\x00", WHOLE.storage),
    ]


@pytest.mark.parametrize("directory", [True, False], ids=["small", "in memory"])
def test_nothing_is_written_of_a_small_one_or_without_a_directory(tmp_path, directory):
    funded = FUNDED[:10] if directory else FUNDED
    first = FirstState(genesis_of(funded), tmp_path if directory else None)
    assert [one[0] for one in first.accounts()] == [*(a for a, _ in funded), WHOLE.address]
    assert list(tmp_path.iterdir()) == []


def test_another_file_in_its_place_is_refused_and_the_next_start_writes_it_anew(tmp_path):
    raw, file = genesis_of(FUNDED), tmp_path / GENESIS_FILE
    first = FirstState(raw, tmp_path)
    file.write_bytes(genesis_of((*FUNDED[:-1], (FUNDED[-1][0], b"\xff" * 8))))
    with pytest.raises(StateRejected, match="not the genesis that consensus has"):
        first.accounts()
    file.unlink()
    with pytest.raises(StateRejected, match="cannot be read"):
        first.accounts()
    assert len(FirstState(raw, tmp_path).accounts()) == len(FUNDED) + 1
