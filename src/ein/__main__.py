"""`python -m ein`."""

import sys


def main() -> None:
    """The command line; Ctrl-C while it is being imported ends it as quietly as later."""
    try:
        from ein.cli import main as program
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(130)
    program()


if __name__ == "__main__":
    main()
