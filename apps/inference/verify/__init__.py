"""
The offline verifier: bytes in, facts or a named refusal out.

Pure: no clock, network, file or chance; it needs nothing of the service, and no node.
"""
