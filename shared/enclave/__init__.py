"""What enclave programs share: the view of the chain, keys, and rounds that are proven final."""
