"""Metrics, and the encoders that some of them ask for, made from what a user wrote and loaded."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from zero3d.errors import RecipeError
from zero3d.interfaces import Encoder, Metric
from zero3d.recipe import make_block
from zero3d.registry import Registry

EXAMPLE = "clip:openai/clip-vit-base-patch32"
"""Of an encoder as TYPE:WEIGHTS, for messages."""


def metric_options(said: str, place: str) -> dict[str, Any]:
    """NAME or NAME:option=value,option=value -> {"type": NAME, option: value}, values in YAML.

    A comma separates where `option=` follows it, so that lists are written as [0.01, 0.05].

    Raises:
        RecipeError: anything else; the line begins with `place`.
    """
    import yaml

    name, _, rest = said.partition(":")
    options: dict[str, Any] = {"type": name}
    for part in re.split(r",(?=\s*[A-Za-z_]\w*=)", rest) if rest.strip() else ():
        key, equals, value = part.partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z_]\w*", key.strip()):
            raise RecipeError(f"{place} {said}: {part!r} is no option=value; write NAME:option=value,option=value")
        try:
            options[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise RecipeError(f"{place} {said}: {value!r} is no YAML value; put it in quotes") from None
    return options


def make_metric(
    registry: Registry, options: Mapping[str, Any], file: str, key: str, device: torch.device | None = None
) -> Metric:
    """A metric of these options (`type` names it), loaded, with the encoder that it asks for (`Metric.wants_encoder`).

    Raises:
        UserError: no such metric, wrong options, or weights that cannot be read; the line begins with `file`: `key`.
    """
    metric: Metric = make_block(registry, "metric", file, key, options).build()
    device = device or torch.device("cpu")
    if metric.wants_encoder:
        metric.use_encoder(make_encoder(registry, metric.wants_encoder, file, f"{key}.encoder", device=device))
    metric.load(device)
    return metric


def make_encoder(
    registry: Registry,
    said: str,
    file: str,
    key: str,
    reads: Iterable[str] = ("picture",),
    device: torch.device | None = None,
) -> Encoder:
    """The encoder that TYPE:WEIGHTS names, loaded.

    Raises:
        UserError: another form, no such encoder, weights that cannot be read, or it reads not all that it must.
    """
    name, _, weights = said.partition(":")
    if not weights:
        raise RecipeError(f"{file}: {key} {said}: write TYPE:WEIGHTS, for example {EXAMPLE}")
    encoder: Encoder = make_block(registry, "encoder", file, key, {"type": name, "weights": weights}).build()
    missing = set(reads) - encoder.reads
    if missing:
        wrong = f"reads {', '.join(sorted(encoder.reads))}, and not the {', '.join(sorted(missing))}"
        raise RecipeError(f"{file}: {key} {said}: {wrong}; take another encoder")
    encoder.load(device or torch.device("cpu"))
    return encoder
