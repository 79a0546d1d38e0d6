"""`python -m ccdr`."""

import gc
import os
import signal


def main() -> None:
    """`ccdr`. Until the command line is there to answer it, and once it is done, an interrupt ends us at once."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    gc.set_threshold(200_000)  # reading modules leaves no garbage: to look for some takes a tenth of a second
    # Nor has any other package a say in how plans are read: pydantic would ask each that is installed.
    os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"
    from ccdr.cli import main as command_line

    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        command_line(prog_name="ccdr")
    except KeyboardInterrupt:
        raise SystemExit(3) from None
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        gc.freeze()  # the end of the process frees it all: to look through it first takes as long again


if __name__ == "__main__":
    main()
