"""The command line of vssbench: ``python bench.py --help``."""

from vssbench.cli import main

if __name__ == "__main__":
    main()
