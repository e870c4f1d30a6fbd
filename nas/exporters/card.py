"""The model card: README.md of an export."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from nas.exporters.registry import load_exporter
from nas.exporters.trained import Origin, TrainedModel
from nas.exporters.verify.verification import BATCHES, TIMED, Reference, Verification
from nas.machine.texts import MISSING, accuracy, clean, markdown_table, milliseconds, plural
from nas.metrics.base import metric_title

NAMED = 20
"""Classes that the card names; labels.txt has all."""


def title_of(trained: TrainedModel) -> str:
    """The network in a few words."""
    data = f" for {trained.data}" if trained.data else ""
    if trained.origin is None:
        return clean(f"{type(trained.model).__name__}{data}")
    return clean(f"Trial {trained.origin.trial} of {trained.origin.study}")


def card(
    trained: TrainedModel,
    formats: Mapping[str, Verification],
    wanted: Reference,
    *,
    uint8: bool,
) -> str:
    """The text, in Markdown."""
    sections = [
        [f"# {title_of(trained)}", "", *_opening(trained)],
        ["![The network](architecture.svg)"],
        ["## The network", "", *_network(trained)],
        [f"## {_named(_metric(trained))}", "", *_scores(trained, formats, wanted)],
        ["## Data", "", *_data(trained)],
        ["## Files", "", *_files(formats, wanted)],
        ["## Use", "", *_use(trained, formats, uint8)],
    ]
    return "\n\n".join("\n".join(section) for section in sections) + "\n"


def _opening(trained: TrainedModel) -> Iterator[str]:
    count = f"{len(trained.classes):,} classes"
    yield f"A classifier of {_images(trained)} into {count}: {_names(trained.classes)}."
    if trained.origin is not None:
        origin = trained.origin
        yield (
            f"It is trial {origin.trial} of study {_code(origin.study)}, found in search space"
            f" {_code(origin.space)} (version {origin.space_version})."
        )


def _network(trained: TrainedModel) -> Iterator[str]:
    table = trained.layers
    weights = sum(tensor.nbytes for tensor in trained.model.state_dict().values())
    memory = weights + 4 * table.inference_elements(trained.input_shape)
    rows = [
        ("parameters", f"{table.parameters:,}"),
        ("multiply-adds for one image", f"{table.multiply_adds:,}"),
        ("weights", _size(weights)),
        ("memory for one image, in floats", f"{_size(memory)} (weights and the two largest layers in a row)"),
    ]
    if trained.origin is not None and trained.origin.peak_memory:
        rows.append(("memory of its training, as measured", _size(trained.origin.peak_memory)))
    rows += [(f"{name}, when it was trained", text) for name, text in trained.versions.items()]
    yield markdown_table(("", ""), rows)
    yield ""
    yield "Its layers are listed in `architecture.json`."


def _scores(trained: TrainedModel, formats: Mapping[str, Verification], wanted: Reference) -> Iterator[str]:
    """Every value there is of this network, side by side."""
    rows = []
    if trained.origin is not None:
        rows.append(("in the search", "validation", accuracy(trained.origin.value)))
        rows.append(_retrained(trained.origin))
    metric, judged = _metric(trained), metric_title(wanted.metric)
    by = "" if judged == metric else f" ({judged})"  # that metric is not installed where it was exported
    split = "validation" if wanted.accuracy is not None else "random images"
    rows.append(("in PyTorch, before the export", split, accuracy(wanted.value) + by))
    rows += [(f"exported: {name}", split, accuracy(found.value) + by) for name, found in formats.items()]
    yield markdown_table((metric, "measured on", ""), rows)
    if trained.origin is not None and trained.origin.retrained is not None:
        yield ""
        yield (
            "The exported weights were trained on the validation images too: what these say tells whether the"
            " files are faithful, not how good the network is."
        )


def _metric(trained: TrainedModel) -> str:
    """What the values of the card are, in words."""
    return metric_title(trained.origin.metric if trained.origin else trained.metric)


def _named(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}"


def _retrained(origin: Origin) -> tuple[str, str, str]:
    if origin.retrained is None:
        return "retrained", MISSING, "not retrained: the weights are those of the search"
    score = origin.retrained
    interval = f" ({score.interval[0]:.4f} to {score.interval[1]:.4f})" if score.interval else ""
    return "retrained", score.split, f"{score.value:.4f}{interval}"


def _data(trained: TrainedModel) -> Iterator[str]:
    facts = trained.data_facts
    rows = [("name", clean(trained.data) if trained.data else "not known")]
    rows += [(f"{split} images", f"{count:,}") for split, count in facts.get("counts", {}).items()]
    if "fingerprint" in facts:
        rows.append(("digest of the pixels and labels", _code(facts["fingerprint"])))
        rows.append(("digest of the split", _code(facts["split_digest"])))
    rows.append(("mean of the channels, in [0, 1]", _numbers(trained.mean)))
    rows.append(("standard deviation", _numbers(trained.std)))
    yield markdown_table(("", ""), rows)


def _files(formats: Mapping[str, Verification], wanted: Reference) -> Iterator[str]:
    kind = "images of the validation split" if wanted.accuracy is not None else "random images"
    sizes = ", ".join(map(str, BATCHES))
    yield (
        "Each file was loaded in a fresh process by its own runtime and held against the network in PyTorch,"
        f" on {wanted.images:,} {kind} in batches of {sizes}; the table tells the worst of these. Latencies"
        f" are medians with {plural(wanted.threads, 'thread')} of {wanted.processor}."
        " All figures are in `verification.json`; `sha256sum -c SHA256SUMS` checks the files."
    )
    yield ""
    heads = ("format", "files", "size", "largest difference of a logit", "same class")
    rows = [
        (
            name,
            ", ".join(map(_code, found.files)),
            _size(found.size),
            f"{found.largest_difference:.1e}",
            f"{100 * found.agreement:.2f} %",
            *(f"{milliseconds(found.latency[size])} ms" for size in TIMED),
        )
        for name, found in formats.items()
    ]
    yield markdown_table((*heads, *(f"latency, batch {size}" for size in TIMED)), rows)
    if slower := slower_int8(formats):
        yield ""
        yield slower


def slower_int8(formats: Mapping[str, Verification]) -> str:
    """A sentence where int8 takes longer than the same graph in floats; empty elsewhere."""
    if not {"onnx", "int8"} <= formats.keys():
        return ""
    pairs = [(size, formats["int8"].latency[size], formats["onnx"].latency[size]) for size in TIMED]
    slower = [
        f"{milliseconds(ours)} ms against {milliseconds(theirs)} ms at a batch of {size}"
        for size, ours, theirs in pairs
        if ours > theirs
    ]
    return f"int8 is slower here than onnx: {', '.join(slower)}." if slower else ""


def _use(trained: TrainedModel, formats: Mapping[str, Verification], uint8: bool) -> Iterator[str]:
    channels, height, width = trained.input_shape
    kind = _kind(trained)
    if uint8:
        shape, values = f"uint{trained.bits} (batch, {height}, {width}, {channels})", "as decoders give them"
    else:
        shape = f"float32 (batch, {channels}, {height}, {width})"
        scaled = f"(pixels / {2**trained.bits - 1} - mean) / std"
        values = f"scaled to [0, 1] and normalised: `{scaled}` of each channel"
    yield f"`images` are {shape}, {kind}, {values}."
    if uint8 and "source" in formats:
        yield "Only the network of `model.py` takes what its own `preprocess` makes."
    yield f"`logits` are (batch, {len(trained.classes)}), in the order of `labels.txt`."
    for name in formats:
        yield ""
        yield f"### {name}"
        yield ""
        yield f"```python\n{load_exporter(name).usage(uint8=uint8).strip()}\n```"
    yield ""
    yield "Where nas is installed, `nas predict . image.png` classifies images, and `nas bench .` measures."


def _images(trained: TrainedModel) -> str:
    _, height, width = trained.input_shape
    kind = _kind(trained)
    images = f"{width} x {height} pixels"
    return f"{kind} images of {images}" if kind in ("grey", "RGB") else f"images of {images} in {kind}"


def _kind(trained: TrainedModel) -> str:
    """Such as "RGB", or "5 channels of 16 bits"."""
    channels = trained.input_shape[0]
    if trained.bits == 8 and channels in (1, 3):
        return "grey" if channels == 1 else "RGB"
    return f"{plural(channels, 'channel')} of {trained.bits} bits"


def _names(classes: Sequence[str]) -> str:
    named = ", ".join(clean(name) for name in classes[:NAMED])
    return f"{named} and more (see `labels.txt`)" if len(classes) > NAMED else named


def _code(text: str) -> str:
    return f"`{clean(text)}`"


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.6g}" for value in values)


def _size(count: int) -> str:
    """Bytes in KiB or MiB."""
    return f"{count / 2**10:,.1f} KiB" if count < 2**20 else f"{count / 2**20:,.2f} MiB"
