"""The mock TEE from both sides: quotes, attestation, sealing, sessions, the enclave's runtime."""
