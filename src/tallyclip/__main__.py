"""``python -m tallyclip`` is the command ``tallyclip``."""

from tallyclip.cli import main

if __name__ == "__main__":
    main()
