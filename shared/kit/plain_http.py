"""
What a client of our own services trusts in TLS: nobody, for they are asked over plain HTTP.

A client of httpx reads the machine's certificate authorities when it is made, which takes some
40 ms; a command that asks every node would do so ten times.
"""

import ssl

NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Trusts no authority: a connection by TLS would be refused."""


def trust_for(url: str) -> ssl.SSLContext | bool:
    """Give httpx's `verify` for an address that somebody names: the authorities where it is TLS."""
    return True if url.lower().startswith("https:") else NOBODY
