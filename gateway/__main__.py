"""`python -m gateway` is the command `bedrock-gateway`."""

import sys

from gateway.cli import main

sys.exit(main())
