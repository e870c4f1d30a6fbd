"""A worker that speaks the protocol and trains nothing: it sleeps as long as a task's seed says."""

import json
import random
import sys
import time
from pathlib import Path


def say(kind: str, **content: object) -> None:
    print(json.dumps({"kind": kind, **content}), flush=True)


index = int(sys.argv[1])
setup = json.loads(sys.stdin.readline())
say("Ready", worker=index, device="cpu", constants={})
for line in sys.stdin:
    task = json.loads(line)
    if task["kind"] != "Task":
        continue
    number, chance = task["number"], random.Random(task["number"])
    died = Path(task["weights"] + ".died")
    if number % 25 == 24 and not died.exists():  # every now and then one dies of it, once
        died.touch()
        sys.exit(1)
    begun = time.monotonic()
    time.sleep(chance.uniform(0, 0.06))
    with open(task["weights"] + ".times", "w") as times:
        json.dump([begun, time.monotonic(), task["plan"]["reservation"]], times)
    epoch = {"number": 1, "train_loss": 1.0, "val_loss": 1.0, "val_accuracy": chance.random()}
    epoch |= {"learning_rate": 0.1, "seconds": 0.01, "images_per_second": 1.0}
    epoch |= {"peak_allocated": None, "peak_reserved": None, "peak_resident": None}
    say("Trained", number=number, epoch=epoch)
    say("Ended", number=number, how="completed")
