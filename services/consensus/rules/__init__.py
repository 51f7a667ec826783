"""
The rules of consensus: free functions over explicit state, without I/O, clock or chance.

`block.execute_block` is the way in; `docs/services/consensus.md` has the table of methods.
"""
