"""How a trial ends, in our words and in Optuna's."""

from enum import StrEnum

from optuna.trial import TrialState


class Outcome(StrEnum):
    """One per trial. Only completed and pruned trials are charged to `--trials`."""

    COMPLETED = "completed"
    PRUNED = "pruned"
    DOES_NOT_FIT = "does_not_fit"
    DUPLICATE = "duplicate"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    RUNNING = "running"
    WAITING = "waiting"

    @property
    def in_words(self) -> str:
        return self.value.replace("_", " ")

    @property
    def charged(self) -> bool:
        return self in (Outcome.COMPLETED, Outcome.PRUNED)

    @property
    def state(self) -> TrialState:
        """What Optuna is told. FAIL is invisible to its samplers."""
        return {
            Outcome.COMPLETED: TrialState.COMPLETE,
            Outcome.PRUNED: TrialState.PRUNED,
            Outcome.DOES_NOT_FIT: TrialState.PRUNED,
            Outcome.DUPLICATE: TrialState.PRUNED,
            Outcome.FAILED: TrialState.FAIL,
            Outcome.INTERRUPTED: TrialState.FAIL,
            Outcome.RUNNING: TrialState.RUNNING,
            Outcome.WAITING: TrialState.WAITING,
        }[self]
