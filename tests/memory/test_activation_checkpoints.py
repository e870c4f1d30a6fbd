from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.memory.activation_checkpoints import checkpointed
from nas.memory.program import BatchSizes
from nas.memory.trace import trace_training
from nas.training.loop import Trainer
from tests.memory.measure import blank_images
from tests.memory.networks import CLASSES, NETWORKS, SHAPE, normalised, plain, settings

Build = Callable[[], nn.Module]


def overwriting() -> nn.Sequential:
    """Nine layers make segments of three, the second of which would begin with an activation in place."""
    layers: list[nn.Module] = []
    for channels in (3, 8, 8, 8):
        layers += [nn.Conv2d(channels, 8, 3, stride=2, padding=1), nn.Hardswish(inplace=True)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(8, CLASSES))


def repeating() -> nn.Sequential:
    """One layer, twice."""
    twice = nn.Linear(64, 64)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(768, 64), twice, nn.Tanh(), twice, nn.Tanh(), nn.Linear(64, CLASSES)
    )


networks = pytest.mark.parametrize(
    "build",
    [*NETWORKS.values(), overwriting, repeating],
    ids=[*NETWORKS, "overwriting", "repeating"],
)


def state_after_a_step(build: Build, wrap: Callable[[nn.Module], nn.Module]) -> dict[str, Tensor]:
    """Loss, gradients, buffers, and a number drawn afterwards."""
    torch.manual_seed(0)
    model = wrap(build())
    images, labels = torch.randn(8, *SHAPE), torch.arange(8)
    loss = functional.cross_entropy(model(images), labels)
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    assert all(gradient is not None for gradient in gradients.values())
    return {"loss": loss, **dict(model.named_buffers()), **gradients, "drawn": torch.rand(3)}  # type: ignore[dict-item]


@networks
def test_a_step_is_the_same_with_checkpoints(build: Build) -> None:
    expected = state_after_a_step(build, lambda model: model)
    actual = state_after_a_step(build, checkpointed)
    assert actual.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(actual[name], tensor, rtol=0, atol=0, msg=name)


def test_batch_norm_counts_a_batch_once() -> None:
    model = checkpointed(normalised())
    model(torch.randn(8, *SHAPE)).sum().backward()
    counts = [int(buffer) for name, buffer in model.named_buffers() if name.endswith("num_batches_tracked")]
    assert counts == [1] * 5


def test_training_is_the_same_with_checkpoints() -> None:
    losses = []
    for wrap in (lambda model: model, checkpointed):
        torch.manual_seed(0)
        images = blank_images(SHAPE, 32)
        trainer = Trainer(wrap(normalised()), images, settings(16), epochs=1, precision="fp32", seed=0)
        (epoch,) = trainer.run()
        losses.append((epoch.train_loss, epoch.val_loss))
    assert losses[0] == losses[1]


@networks
def test_evaluation_is_the_same_with_checkpoints(build: Build) -> None:
    model = build().eval()
    images = torch.randn(4, *SHAPE)
    with torch.no_grad():
        expected = model(images)
        torch.testing.assert_close(checkpointed(model)(images), expected, rtol=0, atol=0)


@networks
def test_weights_keep_their_names(build: Build) -> None:
    plainly, wrapped = build(), checkpointed(build())
    assert list(wrapped.state_dict()) == list(plainly.state_dict())
    wrapped.load_state_dict(plainly.state_dict())


def test_checkpoints_save_most_of_the_activations() -> None:
    model = nn.Sequential(*(nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.Sigmoid()) for _ in range(32)))
    model.append(nn.Flatten())
    model.append(nn.Linear(768, CLASSES))
    peaks = [
        trace_training(model, SHAPE, settings(8), checkpointing=checkpointing).peak(BatchSizes(100)).allocated
        for checkpointing in (False, True)
    ]
    assert peaks[1] < peaks[0] / 2


def test_a_network_without_sequential_stays_what_it_is() -> None:
    model = nn.Linear(768, CLASSES)
    assert checkpointed(model) is model


def test_only_the_outermost_sequential_is_replaced() -> None:
    model = checkpointed(normalised())
    kinds = [type(module).__name__ for module in model.modules()]
    assert kinds.count("CheckpointedSequential") == 1
    assert isinstance(plain(), nn.Sequential)
