# pragma version 0.4.3
"""
@title Notes that only their author reads back, in Vyper.
"""

event Written:
    author: indexed(address)
    number: uint256

NOTES_MAX: constant(uint256) = 16
BYTES_MAX: constant(uint256) = 256

_notes: HashMap[address, DynArray[Bytes[BYTES_MAX], NOTES_MAX]]


@external
def write(note: Bytes[BYTES_MAX]) -> uint256:
    assert len(note) > 0, "a note says something"
    number: uint256 = len(self._notes[msg.sender])
    self._notes[msg.sender].append(note)
    log Written(author=msg.sender, number=number)
    return number


@view
@external
def read(number: uint256) -> Bytes[BYTES_MAX]:
    return self._notes[msg.sender][number]
