"""What runs in a worker process: build, train, stream epochs, keep the weights. It knows no database.

Started as `python -m nas.engines.worker INDEX` by an engine, which speaks `messages` through its pipes.
"""

import gc
import os
import queue
import signal
import sys
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, cast

import psutil
import torch
from optuna.trial import FixedTrial
from safetensors.torch import save

from nas.datasets import ImageData
from nas.engines.checkpoint import Checkpoint
from nas.engines.limits import is_out_of_memory, limited, release
from nas.engines.messages import (
    Built,
    Ended,
    Message,
    Ready,
    Reported,
    Seen,
    Setup,
    Stop,
    Task,
    Trained,
    decode,
    encode,
)
from nas.engines.warmup import context_now, measure_constants
from nas.errors import NasError, StorageError, in_one_line
from nas.machine.allowance import own_memory
from nas.machine.files import disk_errors, written_whole
from nas.machine.versions import versions
from nas.memory.activation_checkpoints import checkpointed
from nas.network.check import run_once
from nas.network.layers import layer_table
from nas.seconds.pace import measure_pace
from nas.space.load import load_space
from nas.training.epoch import Diverged, Epoch
from nas.training.images import Images
from nas.training.loop import Trainer
from nas.training.partial import PartialReport

CHECKPOINT_SHARE = 0.05
"""The most of its time that a trial spends on writing checkpoints."""

GLANCE = 0.5
"""Seconds between two words of how far an epoch is, at least; a shorter epoch says nothing."""


class Worker:
    """One process, one device, one trial at a time."""

    def __init__(self, index: int, setup: Setup, output: BinaryIO) -> None:
        self.index = index
        self.setup = setup
        self._output = output
        self._stopped: dict[int, Stop] = {}
        self._glanced = time.monotonic()
        torch.set_num_threads(setup.threads)
        space = load_space(setup.space)
        self.space = space.of_version(setup.space_version or space.version).fixing(setup.training)
        self.data = ImageData.open(Path(setup.data))
        self.device = torch.device(setup.device)
        self.images = load_images(self.data, self.device, setup.memory_cap)
        if setup.with_val:
            self.images = self.images.with_val()
        self.device_name = device_name(setup.device)
        self.constants = measure_constants(self.images)
        self.pace = measure_pace(self.device, setup.precision)
        release(self.device)
        gc.freeze()  # what stays for ever, modules above all: `release` need not look through it every time

    def serve(self, commands: BinaryIO) -> None:
        """Take tasks until the input ends, then end at once: nobody is left to hear the result."""
        tasks: queue.SimpleQueue[Task] = queue.SimpleQueue()
        threading.Thread(target=self._listen, args=(commands, tasks), daemon=True).start()
        resident = psutil.Process().memory_info().rss
        resident += self.data.train.images.nbytes + self.data.val.images.nbytes  # pages of the map come to it
        ready = Ready(
            worker=self.index,
            device=self.device_name,
            constants=self.constants,
            resident=resident,
            own=own_memory(),
            pace=self.pace,
        )
        self._send(ready)
        while True:
            self._run(tasks.get())

    def _listen(self, commands: BinaryIO, tasks: "queue.SimpleQueue[Task]") -> None:
        code = 1
        try:
            for line in commands:
                match decode(line):
                    case Task() as task:
                        self._stopped.pop(task.number, None)  # of an earlier attempt
                        tasks.put(task)
                    case Stop(number=number) as stop:
                        self._stopped[number] = stop
            code = 0
        finally:  # also after half a line, or without memory for a whole one: nobody would listen any more
            os._exit(code)

    def _run(self, task: Task) -> None:
        try:
            how, reason = self._train(task), None
        except Diverged as error:
            how, reason = "diverged", str(error)
        except StorageError as error:
            how, reason = "no room", str(error)
        except NasError as error:
            how, reason = "failed", str(error)
        except BaseException as error:  # of the author's code, whatever it derives from
            out_of_memory = is_out_of_memory(error)
            if not out_of_memory:
                with suppress(OSError):  # the log may lie on a full disk
                    traceback.print_exc()
            how = "out of memory" if out_of_memory else "failed"
            reason = in_one_line(error)
        release(self.device)  # here, because the exception held the frames and they the tensors
        context = context_now(self.device)
        self._send(Ended(number=task.number, how=how, reason=reason, own=own_memory(), context=context))

    def _train(self, task: Task) -> str:
        """Train one proposal to its end, from its checkpoint if it has one, and tell how it ended."""
        checkpoint = Checkpoint(Path(task.checkpoint), identity(task))
        saved = checkpoint.load()  # before the limit, which is for training alone
        memory = task.plan.memory
        context = memory.context if memory else self.constants.context  # as it was when this was planned
        with limited(self.device, task.plan.reservation, context):
            trainer, curve = self._prepare(task), list[Epoch]()
            if saved:
                state, curve = saved
                trainer.load_state_dict(state)
                del state, saved
                for report in trainer.partial_reports:
                    self._send(Reported(number=task.number, report=report, again=True))
                for epoch in curve:
                    self._send(Trained(number=task.number, epoch=epoch, again=True))
            saved_at, cost = time.monotonic(), 0.0

            def should_stop() -> bool:
                self._tell_seen(task.number, trainer)
                return task.number in self._stopped

            def on_report(report: PartialReport) -> None:
                self._send(Reported(number=task.number, report=report))

            self._glanced = time.monotonic()
            for epoch in trainer.run(should_stop, on_report):
                curve.append(epoch)
                self._glanced = time.monotonic()
                if epoch.number == task.epochs:
                    break
                now = time.monotonic()
                if cost <= CHECKPOINT_SHARE * (now - saved_at):
                    with disk_errors(Path(task.checkpoint)):
                        checkpoint.save(trainer.state_dict(), curve)
                    saved_at = time.monotonic()
                    cost = saved_at - now
                self._send(trained(task.number, epoch, trainer))
        if not curve or curve[-1].number < task.epochs:
            if self._stopped[task.number].keep:
                with disk_errors(Path(task.checkpoint)):
                    checkpoint.save(trainer.state_dict(), curve)
            else:
                checkpoint.remove()  # the last one may have come after its trial was told
            return "stopped"
        network = getattr(trainer.evaluated, "_orig_mod", trainer.evaluated)  # of what torch.compile made
        with disk_errors(Path(task.weights)):
            save_weights(network, Path(task.weights))
        self._send(trained(task.number, curve[-1], trainer))
        return "completed"

    def _tell_seen(self, number: int, trainer: Trainer) -> None:
        """Say how far an epoch is, unless it has just begun or this was said just now."""
        if (now := time.monotonic()) - self._glanced >= GLANCE:
            self._glanced = now
            epochs, images, of = trainer.seen
            self._send(Seen(number=number, epochs=epochs, images=images, of=of))

    def _prepare(self, task: Task) -> Trainer:
        """Build the network of a task, and what trains it."""
        info = self.data.info
        proposal = self.space.suggest(FixedTrial(task.params), info)
        model = self.space.build(proposal, info, task.seed)
        if task.plan.memory is None and self.space.is_theirs:  # the planner could not follow it
            run_once(model, self.space, info)
        self._send(
            Built(
                number=task.number,
                num_parameters=sum(parameter.numel() for parameter in model.parameters()),
                multiply_adds=multiply_adds(model, info.shape),
                device=self.device_name,
                versions=versions(),
            )
        )
        if task.plan.checkpointing:
            model = checkpointed(model)
        if self.setup.compile:
            model = cast(torch.nn.Module, torch.compile(model))  # its own compile() skips a Sequential
        return Trainer(
            model,
            self.images,
            proposal.training,
            epochs=task.epochs,
            precision="bf16" if self.setup.precision == "bf16" else "fp32",
            seed=task.seed,
            accumulation=task.plan.accumulation,
            metric=self.setup.metric,
            report_points=task.report_points,
        )

    def _send(self, message: Message) -> None:
        self._output.write(encode(message))
        self._output.flush()


def trained(number: int, epoch: Epoch, trainer: Trainer) -> Trained:
    """The trainer's latest epoch."""
    return Trained(number=number, epoch=epoch, by_class=trainer.counts.rows() if trainer.counts else None)


def multiply_adds(model: torch.nn.Module, shape: tuple[int, int, int]) -> int | None:
    """For one image; None where they depend on the values of tensors."""
    try:
        return layer_table(model, shape).multiply_adds
    except Exception:  # the code may be the author's; what is wrong with it shows in training
        return None


def identity(task: Task) -> str:
    """What a checkpoint must have been made with to be of use to a task."""
    return f"{task.seed} {task.epochs} {versions()['torch']}"


def save_weights(model: torch.nn.Module, file: Path) -> None:
    """Write a model's state to a safetensors file, whole or not at all.

    Raises:
        OSError: the disk is full or read-only; what was there before is still there.
    """
    content = save({name: tensor.cpu().contiguous() for name, tensor in model.state_dict().items()})
    with written_whole(file) as stream:  # safetensors' own writing hides what the system said
        stream.write(content)


def load_images(data: ImageData, device: torch.device, memory_cap: int | None) -> Images:
    """On the device if there is room; streamed to it if not, or if others have taken the room meanwhile."""
    if has_room(device, data, memory_cap):
        try:
            return Images.load(data, device)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        release(device)
    return Images.load(data, device, resident=False)


RESIDENT = 1 / 4
"""The most of the memory cap that images may take, which is every trial's loss."""


def has_room(device: torch.device, data: ImageData, memory_cap: int | None = None) -> bool:
    """Whether the images fit into half of the device's free memory and a quarter of what a trial may use;
    otherwise they are streamed to it."""
    if device.type != "cuda":
        return True  # a CPU reads the memory map itself
    free, _ = torch.cuda.mem_get_info(device)
    size = data.train.images.nbytes + data.val.images.nbytes
    return size <= free / 2 and (memory_cap is None or size <= RESIDENT * memory_cap)


def device_name(device: str) -> str:
    """As people call it: the name of the graphics card, or just cpu."""
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else device


def main() -> None:
    """Keep standard output for messages alone: whatever else prints goes to the log."""
    for each in (signal.SIGINT, signal.SIGTERM):  # the driver's business; a worker ends with its input
        signal.signal(each, signal.SIG_IGN)
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
