"""Engines: what orders transactions into signed blocks and drives the application."""
