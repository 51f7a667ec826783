"""What contributed rows are worth, in integers only, so that every worker finds the same."""
