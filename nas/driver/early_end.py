"""When a trial should end before its last epoch: its own curve is flat, or the pruner says so."""

from __future__ import annotations

from nas.driver.live_trial import LiveTrial
from nas.pruners.base import NONE, make_pruner
from nas.study.reader import StudyReader
from nas.training.epoch import Epoch
from nas.training.partial import PartialReport, report_points


class EarlyEnd:
    """Decides about the trials of one run, as the recipe of their study has it."""

    def __init__(self, study: StudyReader, num_train: int) -> None:
        """`num_train`: training images of an epoch."""
        self._recipe, self._num_train = study.recipe, num_train
        self.pruner = make_pruner(study)

    def why(self, trial: LiveTrial, epoch: Epoch, *, again: bool) -> str | None:
        """Why a trial should end after this epoch, which is the last of its curve; None if it should go on.

        Args:
            again: whether the trial had this epoch before its worker died, so that the pruner knows it.
        """
        if epoch.number == self._recipe.epochs:
            return None  # fully trained: asking the pruner now could only throw the result away
        patience = self._recipe.patience
        if patience and epoch.number - trial.best_epoch >= patience:
            return f"flat: no better than epoch {trial.best_epoch} for {patience} epochs"
        if again:
            return None
        return self._pruned(trial, epoch.number * self._num_train, epoch.value)

    def report_points(self, trial: LiveTrial) -> list[int]:
        """Training images after which a trial reports within its first epoch."""
        if self._recipe.pruner == NONE:
            return []
        return report_points(self._num_train, self._recipe.epochs, trial.proposal.training.batch_size)

    def why_within(self, trial: LiveTrial, report: PartialReport, *, again: bool) -> str | None:
        """The same within the first epoch."""
        return None if again else self._pruned(trial, report.images_seen, report.value)

    def _pruned(self, trial: LiveTrial, images_seen: int, value: float) -> str | None:
        why = self.pruner.stop(trial.number, images_seen, value)
        return f"pruner: {why}" if why else None
