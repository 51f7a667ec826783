"""Honest numbers for this network: `make bench`. Nothing here is a test."""
