"""Workers run attested apps beside the chain; so far, what an app asks of its worker."""
