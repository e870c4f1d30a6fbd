"""What driver and workers say to each other arrives as it was said."""

import pytest

from nas.engines.messages import Command, Message, Ready, Reported, Seen, Setup, Task, decode, encode
from nas.memory.planned import MemoryPlan
from nas.memory.prediction import MemoryConstants
from nas.memory.program import Memory
from nas.training.partial import PartialReport
from tests.scripted import epoch


def task(memory: Memory | None, params: dict[str, object]) -> Task:
    plan = MemoryPlan(micro_batch=8, accumulation=2, checkpointing=True, reservation=2**40, memory=memory)
    return Task(
        number=3, params=params, seed=1, epochs=2, plan=plan, weights="w", checkpoint="c", report_points=[8]
    )


@pytest.mark.parametrize(
    "message",
    [
        task(Memory(activations=7, context=9), {"lr": 0.1}),
        task(None, {"epoch": 3, "plan": "small", "memory": None}),  # names of a space
        Ready(
            worker=1,
            device="cuda",
            constants=MemoryConstants(context=5, workspace=(7, 8), factor=1.25),
            own=4,
        ),
        Setup(space="mlp", training={"batch_size": 32}, data="d", device="cpu", threads=1, precision="fp32"),
        epoch(4, 2, again=True),
        Reported(number=1, report=PartialReport(images_seen=2560, val_images=1000, val_accuracy=0.5)),
        Seen(number=4, epochs=2, images=640, of=1216),
    ],
    ids=lambda message: type(message).__name__,
)
def test_a_message_arrives_as_it_was_said(message: Command | Message) -> None:
    line = encode(message)
    assert (line.count(b"\n"), decode(line)) == (1, message)
