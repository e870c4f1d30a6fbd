"""A child process that tells what it knows of passwords."""

import os
import sys

sys.exit("secret" if "secret" in str(os.environ) else "it knows nothing")
