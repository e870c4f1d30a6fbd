"""Rules of the mlp space alone; those of every space are in test_contract.py."""

import torch

from nas.space.load import load_space
from nas.testing.spaces import proposals
from search_spaces.mlp import Mlp
from tests.conftest import DIGITS


def test_it_builds_what_it_says():
    architecture = Mlp(fc_units=(128, 32), batch_norm=True, dropout=0.3, initialisation="he")
    model = architecture.build(DIGITS)
    names = "flatten fc1 fc1_norm fc1_relu dropout1 fc2 fc2_norm fc2_relu dropout2 classifier"
    assert [name for name, _ in model.named_children()] == names.split()
    assert (model.fc1.in_features, model.fc2.out_features, model.classifier.out_features) == (64, 32, 10)
    assert model.dropout1.p == 0.3
    assert model(torch.zeros(2, 1, 8, 8)).shape == (2, 10)


def test_networks_have_one_to_four_hidden_layers():
    depths = {len(proposal.architecture.fc_units) for _, proposal in proposals(load_space("mlp"), DIGITS, 40)}
    assert depths == {1, 2, 3, 4}
