"""What a file or folder of weights holds, in lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from zero3d import RecipeError
from zero3d.weights import Published, is_pickled, ldm, local_files, open_tensors, read_json
from zero3d_mvdream.weights.source import SUFFIXES, Folder, SingleFile, Source, family_of, family_of_config


def is_family(path: Path, family: str) -> bool:
    """Whether the file or folder is of this family, by its names alone.

    Raises:
        RecipeError: a file that cannot be read.
    """
    if path.is_dir():
        config = path / "unet" / "config.json"
        return config.is_file() and family_of_config(read_json(config)) == family
    if path.suffix not in SUFFIXES and not is_pickled(path):
        return False
    tensors = open_tensors(path)
    return family_of({name.removeprefix(ldm.UNET): name for name in tensors}, tensors) == family


def report(path: Path, family: str, config: str, known: Sequence[Published]) -> Iterator[str]:
    """Parts, sizes, precision, and whether they fit the configuration."""
    source: Source
    if path.is_dir():
        source = Folder(family, path, local_files(path), "", half=False)
    else:
        source = SingleFile(family, path, config, known)
    size = sum(file.stat().st_size for file in source.weight_files)
    yield f"{path}: {family} in {'diffusers layout' if path.is_dir() else 'one file'}, {size / 1e9:.2f} GB to load"
    for part in source.parts:
        state = source.state(part)
        kinds = Counter(str(tensor.dtype).removeprefix("torch.") for tensor in state.values())
        count = sum(tensor.numel() for tensor in state.values())
        try:
            source.check_part(part)
            fits = "fits"
        except RecipeError as error:
            fits = "does not fit: " + str(error).split(": ", 2)[-1]
        yield f"{part:14s}{len(state):5d} tensors {count:13,d} parameters {'/'.join(kinds)}  {fits}"
    yield f"{'tokenizer':14s}" + ("its own" if source.tokenizer else "none; name one with denoiser.tokenizer")
