"""`python -m qanat` is the command line."""

from qanat.cli import main

if __name__ == "__main__":
    main()
