"""The client's side: nothing is sent before the service is verified, every answer can be."""
