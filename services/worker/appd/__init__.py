"""
What an attested app asks of the worker it runs in: keys, quotes, transactions, metadata.

Two dialects of one instance: the daemon of Oasis ROFL (`/rofl/v1/*`) and dstack's guest agent.
Whoever reaches the socket is the app; there is no other authentication, as upstream.
"""
