"""From Optuna's next trial to one that waits for a worker, or that is told at once: ask, plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from optuna.trial import FixedTrial

from nas.driver.duplicates import Duplicates, SeenProposal
from nas.driver.live_trial import LiveTrial
from nas.driver.memory_budget import MemoryBudget
from nas.driver.time_budget import TimeBudget, Verdict
from nas.engines.messages import Planned
from nas.errors import SearchFailed
from nas.machine.sizes import exact_size, in_mib
from nas.memory.planned import MemoryPlan
from nas.space import DataInfo
from nas.space.load import Space
from nas.space.parameters import smallest
from nas.study.outcome import Outcome
from nas.study.records import TrialRecord
from nas.study.retries import Retry
from nas.study.trial_files import checkpoint_path
from nas.study.writer import MEMORY, OUT_OF_MEMORY, TIME, StudyWriter

if TYPE_CHECKING:
    from nas.engines.planner import Planner  # torch comes with it

UNFIT = 200
"""So many proposals in a row that do not fit the memory cap end the search."""

LEAST_EXCESS = 0.01
"""Of a trial that was predicted to fit and did not."""

MIB = 2**20


class Proposer:
    """Asks for trials, and says which of them are worth a worker."""

    def __init__(
        self,
        store: StudyWriter,
        space: Space,
        info: DataInfo,
        planner: Planner,
        memory: MemoryBudget,
        times: TimeBudget,
        records: list[TrialRecord],
        listed: bool,
    ) -> None:
        """Args:
        records: the trials that the study already has.
        listed: ask for nothing but what is enqueued.
        """
        self._store = store
        self._space = space
        self._info = info
        self._planner = planner
        self._memory = memory
        self._times = times
        self._seed = store.recipe.seed
        self._known = Duplicates(records, store.constraints)
        self._listed = listed
        self._unfit: list[int] = []
        """Bytes that each proposal needed since the last one that fits."""
        self._too_long: list[Verdict] = []
        """What each proposal would take since the last one that may take it."""
        self._has_fitted = listed or any(record.plan for record in records)
        """Whether any proposal ever did, so that the sampler knows where to look."""

    @property
    def exhausted(self) -> bool:
        """Whether there is nothing new to ask for."""
        return self._known.exhausted or (self._listed and not self._store.waiting)

    def ask(self) -> LiveTrial:
        """The next trial.

        Raises:
            BrokenFile: the search space's own code failed.
        """
        trial = self._store.ask(at_random=self._known.stuck)
        retry = Retry.read(trial.user_attrs)
        of = retry.of if retry else None
        try:
            proposal = self._space.suggest(trial, self._info)
        except BaseException:
            reason = "its proposal failed"
            self._store.tell(trial.number, Outcome.INTERRUPTED, reason=reason, retry_of=of)
            raise
        return LiveTrial(
            trial,
            proposal,
            seed=proposal.seed(self._seed),
            retry_of=of,
            origin=retry.origin if retry else trial.number,
            deaths=retry.deaths if retry else 0,
            resumes=retry is not None and checkpoint_path(self._store.folder, retry.origin).exists(),
        )

    def duplicate(self, trial: LiveTrial) -> str | None:
        """Tell the sampler what is known of a trial that would only repeat an earlier one.

        Returns the reason, or None for a trial that is new.
        """
        earlier = self._known.look_up(trial.proposal.digest)
        if earlier is None:
            self._known.first(trial)
        if earlier is None or earlier.constraints is None:
            return None  # `planned` tells, as soon as it is known what the sampler has to learn
        return self._repeats(trial, earlier)

    def forget(self, trial: LiveTrial) -> None:
        """It failed or was interrupted: the same proposal may be tried again."""
        self._known.forget(trial)

    def plan(self, trial: LiveTrial) -> None:
        """Have a trial planned; again, if it has a plan that was not frugal enough."""
        if self._memory.constants is not None:  # else as soon as the first worker has measured them
            after = trial.plan.levers if trial.plan else None
            self._planner.plan(trial.number, trial.proposal, self._memory.constants, after)

    def planned(self, trial: LiveTrial, planned: Planned) -> tuple[Outcome, str | None]:
        """Take the answer: the trial waits, does not fit, or is beyond all plans and pruned."""
        answer = planned.answer
        needed = answer.reservation if isinstance(answer, MemoryPlan) else answer.smallest_cap
        excess = needed / self._memory.cap - 1
        earlier = self._known.first(trial)
        if earlier.number != trial.number:
            return Outcome.DUPLICATE, self._repeats(trial, earlier)
        constraints = earlier.constraints or {MEMORY: excess}
        if isinstance(answer, MemoryPlan):
            new, trial.plan = trial.plan is None, answer
            self._unfit.clear()
            self._has_fitted = True
            self._times.predict(trial)
            verdict = self._times.judge(trial) if new else None
            if verdict is not None:
                constraints = {**constraints, TIME: verdict.excess}
            if verdict is not None and verdict.excess > 0:
                self._enter(trial, Outcome.DOES_NOT_FIT, constraints, reason=verdict.why, **trial.planned)
                if verdict.late:
                    self._known.forget(trial)  # in a run with more time left it may be proposed again
                else:
                    self._known.settle(trial, needed, constraints)
                    self._too_long.append(verdict)
                return Outcome.DOES_NOT_FIT, verdict.why
            self._too_long.clear()
            self._known.settle(trial, needed, constraints)
            if new:
                self._enter(trial, Outcome.WAITING, constraints, **trial.planned)
            else:
                self._store.describe(trial.number, **trial.planned)
            return Outcome.WAITING, None
        if trial.plan is None:
            reason = str(answer)
            self._known.settle(trial, needed, constraints)
            columns = {"predicted": needed, "predicted_memory": answer.memory.parts}
            self._enter(trial, Outcome.DOES_NOT_FIT, constraints, reason=reason, **columns)
            self._unfit.append(needed)
            if not self._has_fitted and not self._store.waiting:
                self._fall_back()
            return Outcome.DOES_NOT_FIT, reason
        excess = max(excess, LEAST_EXCESS)
        trial.trial.set_constraint(OUT_OF_MEMORY, excess)
        self._known.settle(trial, trial.reservation, {**constraints, OUT_OF_MEMORY: excess})
        return Outcome.PRUNED, f"out of memory: {trial.trouble}"

    def check_that_something_fits(self, of: int | None = None) -> None:
        """Raises:
        SearchFailed: the last `of` proposals did not fit; by default, as many as end a search.
        """
        if self._listed:
            return
        if len(self._too_long) >= (of or UNFIT) and len(self._too_long) >= len(self._unfit):
            cheapest = min(self._too_long, key=lambda verdict: verdict.needed)
            raise SearchFailed(
                f"None of the last {len(self._too_long)} proposals may be trained. The cheapest"
                f" {cheapest.why}: go on with a longer --trial-time."
            )
        if len(self._unfit) < (of or UNFIT):
            return
        smallest, cap = -(-min(self._unfit) // MIB) * MIB, self._memory.cap
        shown = in_mib(cap) if cap >= MIB else f"{cap:,} bytes"
        raise SearchFailed(
            f"None of the last {len(self._unfit)} proposals fits the memory cap of {shown}. The"
            f" smallest needs {in_mib(smallest)}: start another study with --study OTHER --memory-cap"
            f" {exact_size(smallest)} or more."
        )

    def _fall_back(self) -> None:
        """None of the starts fits: propose the smallest network, so that the sampler learns the way."""
        self._has_fitted = True  # once is enough
        params = smallest(self._space, self._info)
        if self._space.suggest(FixedTrial(params), self._info).digest not in self._known:
            self._store.enqueue(params)

    def _repeats(self, trial: LiveTrial, earlier: SeenProposal) -> str:
        """Tell the sampler of a duplicate what it was told of the first trial. Returns the reason."""
        assert earlier.constraints is not None
        reason = f"the same as trial {earlier.number}"
        self._enter(
            trial,
            Outcome.DUPLICATE,
            earlier.constraints,
            reason=reason,
            curve=earlier.curve,
            duplicate_of=earlier.number,
            predicted=earlier.predicted,
        )
        return reason

    def _enter(
        self, trial: LiveTrial, outcome: Outcome, constraints: Mapping[str, float], **columns: Any
    ) -> None:
        excess = constraints.get(MEMORY, 0.0)  # an earlier nas may have told none
        self._store.enter(
            trial.trial,
            trial.proposal,
            trial.seed,
            outcome,
            excess=excess,
            constraints=constraints,
            **columns,
        )
