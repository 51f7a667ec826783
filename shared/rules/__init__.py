"""Protocol rules that more than one service computes. Pure: no I/O, clock or chance."""
