"""Starts the processes of a network without containers, watches them, and restarts what dies."""
