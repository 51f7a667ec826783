"""The application on a socket, for an engine in a process of its own, such as CometBFT."""
