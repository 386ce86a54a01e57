"""python -m lsnn"""

import sys

from lsnn.cli import main

if __name__ == "__main__":
    sys.exit(main())
