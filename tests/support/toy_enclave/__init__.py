"""A small enclave program that does every thing an enclave may do, and tries what it may not."""
