"""Networks whose costs are known by hand."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from nas.network.inspection import Inspection, inspect

GIB = 2**30


def parameters_of(inspection: Inspection, *kinds: str) -> list[int]:
    return [layer.parameters for layer in inspection.layers if layer.kind in kinds]


def test_four_convolutions_and_two_fully_connected_layers() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 8, 5, stride=2),
        nn.ReLU(),
        nn.Conv2d(8, 24, 5, stride=2),
        nn.ReLU(),
        nn.Conv2d(24, 32, 3, stride=2),
        nn.ReLU(),
        nn.Conv2d(32, 48, 3, stride=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(48 * 12 * 12, 200),
        nn.ReLU(),
        nn.Linear(200, 10),
    )
    inspection = inspect(model, (3, 224, 224))
    assert parameters_of(inspection, "Conv2d") == [608, 4_824, 6_944, 13_872]
    assert parameters_of(inspection, "Linear") == [1_382_600, 2_010]
    assert inspection.parameters == 1_410_858
    assert [layer.output_shape for layer in inspection.layers if layer.kind == "Flatten"] == [(48 * 12 * 12,)]


def test_a_perceptron_on_large_images_is_inspected_without_its_gigabytes() -> None:
    with torch.device("meta"):
        model = nn.Sequential(
            nn.Flatten(),
            nn.Linear(3 * 224 * 224, 10_000),
            nn.Linear(10_000, 1_000),
            nn.Linear(1_000, 100),
            nn.Linear(100, 10),
        )
    inspection = inspect(model, (3, 224, 224))
    assert parameters_of(inspection, "Linear")[0] == 1_505_290_000
    assert inspection.parameters == 1_515_392_110
    assert inspection.training_memory.parameters == 4 * 1_515_392_110
    assert round(inspection.training_memory.parameters / GIB, 2) == 5.65
    assert inspection.training_memory.optimizer_state == inspection.training_memory.parameters


def test_one_wide_convolution() -> None:
    model = nn.Sequential(nn.Conv2d(3, 200, 5, padding="same"), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    inspection = inspect(model, (3, 150, 100), batch_size=100)
    layer = inspection.layers[0]
    assert (layer.name, layer.kind) == ("0", "Conv2d")
    assert layer.parameters == 15_200
    assert layer.multiply_adds == 225_000_000
    assert layer.output_shape == (200, 150, 100)
    assert layer.output_bytes == 12_000_000
    assert 100 * layer.output_bytes > GIB
    assert inspection.training_memory.allocated > GIB
    assert inspection.inference_memory == 100 * (4 * 3 * 150 * 100 + 12_000_000)


def two_convolutions(*head: nn.Module) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        *head,
    )


def test_a_bottleneck_saves_most_of_the_first_fully_connected_layer() -> None:
    wide = inspect(
        two_convolutions(nn.Flatten(), nn.Linear(64 * 8 * 8, 400), nn.ReLU(), nn.Linear(400, 10)), (3, 32, 32)
    )
    narrow = inspect(
        two_convolutions(
            nn.Conv2d(64, 10, 1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(10 * 8 * 8, 200),
            nn.ReLU(),
            nn.Linear(200, 10),
        ),
        (3, 32, 32),
    )
    convolutions = [3 * 3 * 3 * 32 + 32, 3 * 3 * 32 * 64 + 64]
    assert parameters_of(wide, "Conv2d", "Linear") == [*convolutions, 1_638_800, 4_010]
    assert parameters_of(narrow, "Conv2d", "Linear") == [*convolutions, 650, 128_200, 2_010]
    assert (wide.parameters, narrow.parameters) == (1_662_202, 150_252)
    assert wide.parameters - narrow.parameters == 1_511_950
    saved = wide.training_memory.allocated - narrow.training_memory.allocated
    assert saved > 2 * 4 * 1_500_000  # weights and momentum


def test_training_needs_what_optimizer_precision_and_device_ask_for() -> None:
    model = two_convolutions(nn.Flatten(), nn.Linear(64 * 8 * 8, 10))
    fp32 = inspect(model, (3, 32, 32), batch_size=256).training_memory
    adam = inspect(model, (3, 32, 32), batch_size=256, optimizer="adam").training_memory
    bf16 = inspect(model, (3, 32, 32), batch_size=256, precision="bf16").training_memory
    cuda = inspect(model, (3, 32, 32), batch_size=256, device="cuda").training_memory
    assert fp32.optimizer_state == fp32.parameters
    assert adam.optimizer_state == pytest.approx(2 * adam.parameters, abs=100)
    assert bf16.activations < 0.75 * fp32.activations
    assert fp32.reserved == fp32.allocated == cuda.allocated
    assert cuda.reserved > cuda.allocated


def test_the_inspected_network_stays_as_it_is() -> None:
    model = two_convolutions(nn.Flatten(), nn.Linear(64 * 8 * 8, 10))
    inspect(model, (3, 32, 32))
    assert all(parameter.grad is None and parameter.device.type == "cpu" for parameter in model.parameters())
    assert model.training


class Several(nn.Module):
    """Gives whatever its author likes."""

    def __init__(self, give: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.maps, self.give = nn.Conv2d(3, 8, 3, padding=1), give

    def forward(self, images: Tensor) -> object:
        return self.give(self.maps(images))


@pytest.mark.parametrize(
    "give",
    [
        lambda maps: maps,
        lambda maps: (maps, maps.mean((2, 3))),
        lambda maps: {"maps": maps, "best": [maps.argmax(1)]},
        lambda maps: maps.sum(),
        lambda maps: maps.permute(0, 2, 3, 1).flatten(0, 2),
    ],
    ids=["a feature map", "several tensors", "a dict", "a number", "other rows than images"],
)
def test_a_module_that_is_no_classifier_is_inspected(give: Callable[[Tensor], object]) -> None:
    inspection = inspect(Several(give), (3, 16, 16), batch_size=10)
    assert inspection.parameters == 3 * 3 * 3 * 8 + 8
    memory = inspection.training_memory
    assert memory.parameters == memory.optimizer_state == 4 * 224
    assert memory.activations >= 10 * 4 * 8 * 256


def test_a_lone_convolution_and_a_layer_without_weights_are_inspected() -> None:
    inspection = inspect(nn.Conv2d(3, 200, 5), (3, 150, 100))
    assert inspection.parameters == 15_200
    assert inspection.layers[0].output_shape == (200, 146, 96)
    assert inspection.training_memory.allocated > 32 * 4 * 200 * 146 * 96
    assert inspect(nn.MaxPool2d(2), (3, 8, 8)).training_memory.optimizer_state == 0
