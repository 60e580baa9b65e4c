"""Weights as safetensors: parameters and buffers under their names, and plain data about where they come from."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from ein.grammar.diagnostics import fail

# One entry of metadata: safetensors writes several in no fixed order, and equal weights are to be equal files.
_ABOUT = "ein"


def save_weights(module: nn.Module, path: Path | str, about: Mapping[str, Any] | None = None) -> None:
    """Writes beside `path` and renames, so that the file is whole or absent. Raises `EinError`."""
    target = Path(path)
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in module.state_dict().items()}
    try:
        save_file(tensors, partial, {_ABOUT: json.dumps(about or {}, sort_keys=True)})
        mask = os.umask(0)
        os.umask(mask)
        partial.chmod(0o666 & ~mask)  # safetensors makes it readable to its owner alone
        os.replace(partial, target)
    except (OSError, SafetensorError) as error:
        partial.unlink(missing_ok=True)
        raise fail("E830", f"{target}: the weights cannot be written: {error}") from None


def load_weights(module: nn.Module, path: Path | str) -> dict[str, Any]:
    """Fills the module in place; what was said about the weights comes back. Raises `EinError`."""
    try:
        tensors = load_file(path)
        with safe_open(path, framework="pt") as file:
            about = (file.metadata() or {}).get(_ABOUT, "{}")
    except (OSError, SafetensorError) as error:
        raise fail("E830", f"{path}: the weights cannot be read: {error}") from None
    _check_names(module.state_dict(), tensors, path)
    module.load_state_dict(tensors)
    found: dict[str, Any] = json.loads(about)
    return found


def _check_names(own: Mapping[str, torch.Tensor], given: Mapping[str, torch.Tensor], path: Path | str) -> None:
    missing, extra = sorted(own.keys() - given.keys()), sorted(given.keys() - own.keys())
    other = [name for name in sorted(own.keys() & given.keys()) if own[name].shape != given[name].shape]
    said = [f"{words} {_some(names)}" for words, names in (("lack", missing), ("have also", extra)) if names]
    said += [f"give {name} as {list(given[name].shape)}, here {list(own[name].shape)}" for name in other[:3]]
    if said:
        raise fail("E830", f"{path}: these weights are of another network: they {'; they '.join(said)}")


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
