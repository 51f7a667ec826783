"""The JSON-RPC edge: one module for each namespace, and what carries requests to them."""
