"""The one place where the test images are opened: recorded first, so that no opening can be hidden."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from optuna.trial import FixedTrial
from torch import Tensor, nn

from nas.driver.prepare import Prepared
from nas.errors import StudyError
from nas.final.finalists import Finalist
from nas.final.retraining import Trained
from nas.final.settings import FinalSettings
from nas.machine.files import written_whole
from nas.space import DataInfo
from nas.study.openings import enter_opening, final_weights, openings
from nas.study.reader import StudyReader
from nas.study.trial_files import load_weights, weights_path
from nas.training.images import Examples, Images
from nas.training.loop import EVALUATED_AT_ONCE

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Shipped:
    """A network that was trained on training and validation images."""

    finalist: Finalist
    trained: Trained

    @property
    def weights(self) -> Path:
        return weights_path(self.trained.store.folder, self.trained.record.number)

    def load_model(self, info: DataInfo) -> nn.Module:
        """Raises:
        StudyError: its weights are gone.
        """
        if not self.weights.is_file():
            raise StudyError(
                f"The weights of {self.finalist.name} are gone: {self.weights}. Train it anew with other"
                " --epochs, --top or --seeds."
            )
        space, record = self.finalist.space, self.trained.record
        proposal = space.suggest(FixedTrial(record.params), info)
        model: nn.Module = space.build(proposal, info, record.seed or 0)
        load_weights(model, self.weights)
        return model


@dataclass(frozen=True)
class Predictions:
    """Classes of the test images, as a network sees them."""

    plain: Labels
    mirrored: Labels | None
    """Classes by logits averaged over each image and its mirror image, if that was asked for."""


def check_unopened(store: StudyReader, again: bool) -> None:
    """Raises:
    StudyError: the test images were opened before, and nobody asks for it again.
    """
    before = openings(store)
    if not before or again:
        return
    last = before[-1]
    times = "once" if len(before) == 1 else f"{len(before)} times"
    outcome = "" if last.result else ", and that run ended before their accuracy was known"
    when = f"{last.opened_at:%Y-%m-%d %H:%M} UTC"
    raise StudyError(
        f"The test images of study {store.name!r} have been opened {times} already, last on {when}{outcome}."
        " A model that is chosen by test images looks better than it is. To open them nevertheless, and have"
        " every report say so: nas train --again."
    )


def predict_test(
    run: Prepared, shipped: Sequence[Shipped], settings: FinalSettings
) -> tuple[int, Labels, list[Predictions]]:
    """Open the test images and classify them with each network.

    The weights of the first network are put into the study's folder before.

    Returns:
        which opening it was, the labels, and the predictions of each network.

    Raises:
        StudyError: weights are missing; the test images stay closed.
    """
    models = [each.load_model(run.data.info) for each in shipped]
    _keep(shipped[0].weights, run.store.folder / final_weights(len(openings(run.store)) + 1))
    opening = enter_opening(run.store, asdict(settings))
    test = run.data.open_test()
    device = torch.device(run.resources.devices[0])
    images = Images.load(run.data, device, resident=False)
    examples = Examples.load(test, device, resident=device.type == "cpu")
    predictions = []
    for each, model in zip(shipped, models, strict=True):
        plan = each.trained.record.plan or {}
        # in the precision that it was trained in, with batches no larger than in validation
        batch_size = min(EVALUATED_AT_ONCE, plan.get("micro_batch", EVALUATED_AT_ONCE))
        predictions.append(
            predict(
                model,
                images,
                examples,
                precision=run.resources.precision,
                batch_size=batch_size,
                mirror=settings.mirror,
            )
        )
        model.cpu()
    return opening, np.asarray(test.labels), predictions


@torch.inference_mode()
def predict(
    model: nn.Module,
    images: Images,
    examples: Examples,
    *,
    precision: Literal["fp32", "bf16"],
    batch_size: int,
    mirror: bool,
) -> Predictions:
    """Classify every image.

    Args:
        images: whose normalisation the model was trained with.
        mirror: also with logits averaged over each image and its mirror image.
    """
    device = images.device
    model.to(device).eval()
    plain: list[Tensor] = []
    mirrored: list[Tensor] = []
    with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
        for pixels, _ in examples.batches(torch.arange(len(examples)), batch_size):
            inputs = images.normalise(pixels)
            logits = model(inputs).float()
            plain.append(logits.argmax(1).cpu())
            if mirror:
                mirrored.append((logits + model(inputs.flip(-1)).float()).argmax(1).cpu())
    return Predictions(torch.cat(plain).numpy(), torch.cat(mirrored).numpy() if mirror else None)


def _keep(weights: Path, file: Path) -> None:
    """Copy, whole or not at all."""
    with weights.open("rb") as stream, written_whole(file) as copy:
        shutil.copyfileobj(stream, copy)
