"""One of Optuna's pruners behind our seam: it looks at what the study has told Optuna of each epoch."""

from __future__ import annotations

from optuna.pruners import BasePruner

from nas.study.reader import StudyReader


class OptunaPruner:
    """Asks a pruner of Optuna. Its steps are epochs, from 1 on."""

    def __init__(self, study: StudyReader, pruner: BasePruner) -> None:
        self._study = study.optuna_study
        self._study.pruner = pruner  # samplers look at it too: each bracket of hyperband has its own trials
        self._storage = study.storage
        self._num_train = study.info.num_train
        self._study_id = self._storage.get_study_id_from_name(study.name)
        self._trial_ids: dict[int, int] = {}
        """By number."""

    def stop(self, number: int, images_seen: int, value: float) -> str | None:
        if images_seen % self._num_train:
            return None  # within an epoch
        if number not in self._trial_ids:
            find = self._storage.get_trial_id_from_study_id_trial_number
            self._trial_ids[number] = find(self._study_id, number)
        trial = self._storage.get_trial(self._trial_ids[number])
        if not self._study.pruner.prune(self._study, trial):
            return None
        return f"{value:.4f} after epoch {trial.last_step}"


def warmup_steps(epochs: int) -> int:
    """Optuna counts from 0: the first fifth of the epochs is never pruned."""
    return max(1, epochs // 5) + 1
