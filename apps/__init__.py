"""Programs beside the network, on what it offers; the base install imports none of them."""
