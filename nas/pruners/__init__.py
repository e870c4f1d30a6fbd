"""One file a pruner: `make(epochs)` gives an `optuna.pruners.BasePruner` over epochs 1, 2, …"""


def warmup(epochs: int) -> int:
    """Steps that are never pruned: the first fifth of the epochs. Optuna counts from 0.

    Its "auto" would wait for a complete trial: numbers are explicit.
    """
    return max(1, epochs // 5) + 1
