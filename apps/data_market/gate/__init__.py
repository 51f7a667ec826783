"""What stands between a trained model and its owner: an attack that must fail."""
