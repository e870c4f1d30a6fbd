"""A study by balanced accuracy to its end: trained by real workers, tested, exported and verified."""

import json

import numpy as np
import pytest

import nas
from tests.metrics.test_studies import UNNAMED


@pytest.mark.slow
def test_the_final_model_and_its_files_are_judged_by_the_metric(rare, tmp_path):
    settings = {"space": "mlp", "trials": 2, "epochs": 2, "workers": 1, "threads": 1, "device": "cpu"}
    study = nas.search(
        data=str(rare), metric="balanced_accuracy", class_weights="balanced", folder=tmp_path, **settings
    )
    best = study.best
    assert best.record.proposal["training"]["class_weights"] == "balanced"
    assert best.value == pytest.approx(np.mean([each.recall for each in best.recalls]))
    assert f"balanced accuracy {best.value:.4f}" in best.headline

    final = study.train(top=1, seeds=1, epochs=2)
    confusion = np.array(final.result["confusion"])
    recalls = confusion.diagonal() / confusion.sum(1)
    assert final.test_value == pytest.approx(recalls.mean())
    assert final.test_accuracy == pytest.approx(confusion.trace() / confusion.sum())
    assert final.interval[0] <= final.test_value <= final.interval[1]
    assert (final.result["metric"], final.settings["epochs"]) == ("balanced_accuracy", 2)

    export = final.export(tmp_path / "out", ["source"])
    found = json.loads((export.folder / "verification.json").read_text())
    assert found["metric"] == "balanced_accuracy"
    assert found["value_before_export"] == pytest.approx(found["formats"]["source"]["value"])
    origin = json.loads((export.folder / "architecture.json").read_text())
    assert (origin["metric"], origin["value"]) == ("balanced_accuracy", best.value)
    assert origin["retrained"]["value"] == final.test_value
    card = (export.folder / "README.md").read_text(encoding="utf-8")
    assert "## Balanced accuracy" in card
    for text in (card, (export.folder / "model.py").read_text(encoding="utf-8"), final.headline):
        assert UNNAMED.findall(text) == []
