"""Programs of ParaTimes: what a compute enclave runs."""
