"""What host and enclave of a worker compute alike; measured with the enclave."""
