"""What a process knows of itself, as JSON: `tests/test_preloaded.py` runs it both ways."""

import json
import os
import signal
import sys
import threading
from pathlib import Path

facts = {
    "arguments": sys.argv[1:],
    "command": sys.orig_argv,
    "shown": [each for each in Path("/proc/self/cmdline").read_text().split("\0") if each],
    "parent": os.getppid(),
    "leads a session": os.getsid(0) == os.getpid(),
    "folder": os.getcwd(),
    "variable": os.environ.get("TOLD"),
    "variables": len(os.environ),
    "paths": [path for path in sys.path if "python" not in path],
    "bytecode": sys.dont_write_bytecode,
    "interrupted by": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
    "ended by": signal.getsignal(signal.SIGTERM) is signal.SIG_DFL,
    "threads": threading.active_count(),
    "descriptors": [name for name in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{name}")],
    "name": __name__,
    "heard": sys.stdin.read(),
}
print(json.dumps(facts))
print("torch" in sys.modules, file=sys.stderr)
sys.exit(7)
