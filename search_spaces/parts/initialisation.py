"""How weights start."""

from typing import Literal

from torch import nn

Initialisation = Literal["he", "xavier"]
INITIALISATIONS: tuple[Initialisation, ...] = ("he", "xavier")


def initialise(model: nn.Module, method: Initialisation) -> None:
    """Fill the weights of convolutions and fully connected layers in place; their biases become zero.

    "he": normal, for layers followed by ReLU (He et al. 2015, arXiv 1502.01852). "xavier": uniform (Glorot
    and Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks").
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            if method == "he":
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            else:
                nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
