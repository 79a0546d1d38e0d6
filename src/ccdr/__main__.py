"""`python -m ccdr`."""

from ccdr.cli import main

if __name__ == "__main__":
    main()
