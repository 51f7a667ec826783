"""The service: what an attested worker runs."""
