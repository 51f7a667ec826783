"""How much is said about a row, who counts it, and what proves that the count is true."""
