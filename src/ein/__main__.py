"""`python -m ein`."""

from ein.cli import main

if __name__ == "__main__":
    main()
