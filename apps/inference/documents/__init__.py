"""The documents of `aci/1`, to make and to read; pure, and the same for service and verifier."""
