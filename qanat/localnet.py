"""
The image's entry point: options only, as sapphire-localnet takes them, start a whole network.

`docker run IMAGE -amount 1_000` is `qanat up --foreground -amount 1_000` on all addresses of the
container; a command such as `ps` is passed on.
"""

import sys

from qanat.cli import main

START = ("up", "--foreground", "--listen-host", "0.0.0.0", "--ready-file", "/run/qanat/ready")

if __name__ == "__main__":
    if len(sys.argv) == 1 or (sys.argv[1].startswith("-") and sys.argv[1] != "--help"):
        sys.argv[1:1] = START
    main()
