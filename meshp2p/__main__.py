"""`python -m meshp2p`: the same as the `meshp2p` command."""

import sys

from meshp2p.cli import main

sys.exit(main())
