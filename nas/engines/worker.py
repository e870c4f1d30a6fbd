"""What runs in a worker process: build, train, stream epochs, keep the weights. It knows no database.

Started as `python -m nas.engines.worker INDEX` by an engine, which speaks `messages` through its pipes.
"""

import gc
import os
import queue
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import BinaryIO

import torch
from optuna.trial import FixedTrial
from safetensors.torch import save_file

from nas.datasets import ImageData
from nas.engines.messages import Built, Ended, Message, Ready, Setup, Stop, Task, Trained, decode, encode
from nas.errors import NasError
from nas.layers import layer_table
from nas.plugins import load_space
from nas.training.epoch import Diverged
from nas.training.images import Images
from nas.training.loop import train
from nas.versions import versions


class Worker:
    """One process, one device, one trial at a time."""

    def __init__(self, index: int, setup: Setup, output: BinaryIO) -> None:
        self.index = index
        self.setup = setup
        self._output = output
        self._stopped: set[int] = set()
        torch.set_num_threads(setup.threads)
        self.space = load_space(setup.space)
        self.data = ImageData.open(Path(setup.data))
        device = torch.device(setup.device)
        self.images = Images.load(self.data, device, resident=has_room(device, self.data))
        self.device_name = device_name(setup.device)

    def serve(self, commands: BinaryIO) -> None:
        """Take tasks until the input ends, then end at once: nobody is left to hear the result."""
        tasks: queue.SimpleQueue[Task] = queue.SimpleQueue()
        threading.Thread(target=self._listen, args=(commands, tasks), daemon=True).start()
        self._send(Ready(worker=self.index, device=self.device_name))
        while True:
            self._run(tasks.get())

    def _listen(self, commands: BinaryIO, tasks: "queue.SimpleQueue[Task]") -> None:
        for line in commands:
            match decode(line):
                case Task() as task:
                    tasks.put(task)
                case Stop(number=number):
                    self._stopped.add(number)
        os._exit(0)

    def _run(self, task: Task) -> None:
        try:
            how, reason = self._train(task), None
        except Diverged as error:
            how, reason = "diverged", str(error)
        except torch.OutOfMemoryError as error:
            how, reason = "out of memory", str(error).splitlines()[0]
        except NasError as error:
            how, reason = "failed", str(error)
        except Exception as error:
            traceback.print_exc()
            how, reason = "failed", f"{type(error).__name__}: {error}".splitlines()[0]
        if how == "out of memory":  # here, because the exception held the frames and they the tensors
            gc.collect()
            torch.cuda.empty_cache()
        self._send(Ended(number=task.number, how=how, reason=reason))

    def _train(self, task: Task) -> str:
        """Train one proposal to its end and tell how it ended."""
        info = self.data.info
        proposal = self.space.suggest(FixedTrial(task.params), info)
        torch.manual_seed(task.seed)
        model = self.space.build(proposal, info)
        table = layer_table(model, info.shape)
        self._send(
            Built(
                number=task.number,
                num_parameters=table.parameters,
                multiply_adds=table.multiply_adds,
                device=self.device_name,
                versions=versions(),
            )
        )
        epochs = train(
            model,
            self.images,
            proposal.training,
            epochs=task.epochs,
            precision="bf16" if self.setup.precision == "bf16" else "fp32",
            seed=task.seed,
            should_stop=lambda: task.number in self._stopped,
        )
        last = 0
        for epoch in epochs:
            last = epoch.number
            if last == task.epochs:
                save_weights(model, Path(task.weights))
            self._send(Trained(number=task.number, epoch=epoch))
        return "completed" if last == task.epochs else "stopped"

    def _send(self, message: Message) -> None:
        self._output.write(encode(message))
        self._output.flush()


def save_weights(model: torch.nn.Module, file: Path) -> None:
    """Write a model's state to a safetensors file, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(file.name + ".part")
    save_file({name: tensor.cpu().contiguous() for name, tensor in model.state_dict().items()}, part)
    with part.open("rb+") as stream:
        os.fsync(stream.fileno())
    os.replace(part, file)


def has_room(device: torch.device, data: ImageData) -> bool:
    """Whether the images fit into half of the device's free memory; otherwise they are streamed to it."""
    if device.type != "cuda":
        return True  # a CPU reads the memory map itself
    free, _ = torch.cuda.mem_get_info(device)
    return data.train.images.nbytes + data.val.images.nbytes <= free / 2


def device_name(device: str) -> str:
    """As people call it: the name of the graphics card, or just cpu."""
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else device


def main() -> None:
    """Keep standard output for messages alone: whatever else prints goes to the log."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    setup = decode(sys.stdin.buffer.readline())
    try:
        worker = Worker(int(sys.argv[1]), setup, output)
    except NasError as error:
        sys.exit(str(error))
    worker.serve(sys.stdin.buffer)


if __name__ == "__main__":
    main()
