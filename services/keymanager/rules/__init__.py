"""Pure rules of the key manager, computed by host and enclave alike."""
