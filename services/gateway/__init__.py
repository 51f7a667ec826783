"""
The gateway: Ethereum and `oasis_*` JSON-RPC over a block index.

Untrusted: envelopes pass through as they are; no plaintext and no key is ever here, but for the
throw-away keys of its own readiness probe.
"""
