"""Upstream's own test suites, unmodified, against a network of this project."""
