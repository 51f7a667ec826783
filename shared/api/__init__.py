"""Where services meet: for each one a `Protocol`, its messages, and how to make its client."""
