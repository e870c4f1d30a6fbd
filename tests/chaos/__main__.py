"""The long run: a study on a database of your choice, and many kills.

    python -m tests.chaos --kills 50 --storage sqlite
    python -m tests.chaos --kills 50 --storage postgresql

`postgresql` starts a server of its own; a URL names one that runs, whose database must be empty.
"""

import argparse
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import nas
from nas.study.records import counts_of
from tests.chaos.aftermath import check, check_curves
from tests.chaos.killing import kill_again_and_again
from tests.postgres import running_server


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--storage", default="sqlite", help="sqlite, postgresql or a URL")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--compare", type=int, default=10, help="trials that are trained again, undisturbed")
    asked = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = asked.storage
        if url == "sqlite":
            url = f"sqlite:///{folder}/nas.db"
        elif url == "postgresql":
            url = stack.enter_context(running_server()).new_database()
        began = time.monotonic()
        toll = kill_again_and_again(url, folder, asked.kills, asked.seed, trials=asked.kills)
        seconds = time.monotonic() - began
        study = nas.load_study("chaos", storage=url, folder=folder)
        check(study, toll)
        compared = check_curves(study, folder / "undisturbed", asked.compare)
        records = study.store.trials()
        trained = sum(len(record.epochs) for record in records)
        counted = sum(len(record.epochs) for record in records if record.outcome.charged)
        print(f"{toll.kills.total()} kills in {toll.runs} runs, {seconds:.0f} s: {dict(toll.kills)}")
        print(f"{toll.asked} trials asked for; by outcome: {counts_of(records)}")
        print(f"workers' deaths: {sum(record.deaths or 0 for record in records)}")
        print(
            f"epochs: {counted} of charged trials, {trained} rows; trained again and equal: {compared} trials"
        )


if __name__ == "__main__":
    main()
