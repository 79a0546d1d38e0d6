"""`python -m ccdr`."""

import signal


def main() -> None:
    """`ccdr`. Until the command line is there to answer it, an interrupt ends us at once, with nothing begun."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from ccdr.cli import main as command_line

    signal.signal(signal.SIGINT, signal.default_int_handler)
    command_line()


if __name__ == "__main__":
    main()
