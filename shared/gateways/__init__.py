"""What gateways share: which nodes they ask, and how they know what is final."""
