"""Plumbing that every host process needs: connections, clock, logs, metrics, settings, serving."""
