"""
E2EE version 2: fields of requests and answers, encrypted between client and enclave.

Source: e2ee-v2.md. It is frozen upstream, and to be followed by a version 3.
"""
