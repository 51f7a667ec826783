"""The key manager's enclave: the only place where its secrets exist in the clear."""
