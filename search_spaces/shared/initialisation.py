"""How weights start."""

from typing import Literal

import torch
from torch import nn

Initialisation = Literal["he", "xavier", "orthogonal", "dirac"]
INITIALISATIONS: tuple[Initialisation, ...] = ("he", "xavier")
ALL_INITIALISATIONS: tuple[Initialisation, ...] = ("he", "xavier", "orthogonal", "dirac")


def initialise(model: nn.Module, method: Initialisation) -> None:
    """Fill the weights of convolutions and fully connected layers in place; their biases become zero.

    "he": normal, for layers followed by ReLU (He et al. 2015, arXiv 1502.01852). "xavier": uniform (Glorot
    and Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks").
    "orthogonal": Saxe et al. 2013, arXiv 1312.6120, with the gain of ReLU. "dirac": as many filters of a
    convolution as it has inputs pass them on, the others are "he" (Jordan 2024, arXiv 2404.00498, after
    Zagoruyko and Komodakis 2017, arXiv 1706.00388); fully connected layers are "he".
    """
    for module in model.modules():
        # on the meta device there is nothing to fill, and PyTorch takes seconds to find out
        if isinstance(module, nn.Conv2d | nn.Linear) and not module.weight.is_meta:
            match method:
                case "he":
                    nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                case "xavier":
                    nn.init.xavier_uniform_(module.weight)
                case "orthogonal":
                    nn.init.orthogonal_(module.weight, nn.init.calculate_gain("relu"))
                case "dirac":
                    nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                    if isinstance(module, nn.Conv2d):
                        _pass_on(module)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


@torch.no_grad()
def _pass_on(conv: nn.Conv2d) -> None:
    """Let the first filters of each group pass an input on, one each: `nn.init.dirac_`, without its loops."""
    inputs = conv.in_channels // conv.groups
    filters = conv.weight.view(conv.groups, -1, *conv.weight.shape[1:])[:, :inputs]
    height, width = conv.kernel_size
    filters.zero_()
    filters[..., height // 2, width // 2] = torch.eye(filters.shape[1], inputs, device=conv.weight.device)
