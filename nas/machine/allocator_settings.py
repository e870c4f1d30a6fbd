"""What the environment tells torch's allocator for CUDA, as far as predictions of memory miss it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

VARIABLES = "PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"
"""The first that is set counts: the second is its older name."""

HARMLESS = {
    *("pinned_use_cuda_host_register", "pinned_num_register_threads", "pinned_use_background_threads"),
    *("release_lock_on_cudamalloc", "graph_capture_record_stream_reuse"),
}
"""Settings that leave the memory of a card as it is."""

DEFAULTS = {"expandable_segments": "false", "backend": "native", "garbage_collection_threshold": "0"}


def note(environment: Mapping[str, str] = os.environ) -> str | None:
    """One line for the user where his settings change how the allocator reserves memory; else None."""
    name = next((name for name in VARIABLES if environment.get(name)), None)
    if name is None:
        return None
    found = re.findall(r"(\w+)\s*:\s*(\[[^\]]*\]|[^,]*)", environment[name])
    changed = [
        f"{setting}:{value}"
        for setting, value in found
        if setting not in HARMLESS and value.strip().lower() != DEFAULTS.get(setting)
    ]
    if not changed:
        return None
    return (
        f"{name} sets {', '.join(changed)}: memory is predicted for torch's own settings, so that what trials"
        " reserve may differ until enough of them were measured. Unset it for exact predictions."
    )
