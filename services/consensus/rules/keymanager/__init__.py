"""The key-manager module: its status, policy and published secrets."""
