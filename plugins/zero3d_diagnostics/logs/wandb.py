"""A run's figures, previews and model for Weights & Biases."""

from __future__ import annotations

import configparser
import contextlib
import netrc
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

from zero3d import RecipeError, folder
from zero3d.errors import RunError
from zero3d.files import write_text
from zero3d.interfaces import RunView
from zero3d.recipe import read_yaml
from zero3d_diagnostics.logs.sending import Sending, tag

MODES = ("online", "offline", "disabled")
KEYS = ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE")
MODELS = (".glb", ".obj", ".stl")
"""What its viewer shows."""
ID = "wandb/zero3d-run-id"
"""Where a run's folder keeps the run's id, so that a resumed run goes on in the same curves."""


@dataclass
class WandbConfig:
    """`project`: where the run belongs. `name`: of the run in it; "" is that of the folder. `mode`: online sends while the
    run goes on, offline writes to its folder for `wandb sync`, disabled does nothing. `every`: steps between the figures
    that are passed on. `media`: whether previews and the exported model are, too."""

    project: str = "zero3d"
    name: str = ""
    mode: str = "online"
    every: int = 1
    media: bool = True

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"mode: {self.mode!r}; one of {', '.join(MODES)}")
        if not self.project or len(self.project) > 128 or set(self.project) & set("/\\#?%:"):
            raise ValueError(f"project: {self.project!r}; 1 to 128 characters, none of / \\ # ? % :")
        if self.every < 1:
            raise ValueError(f"every: {self.every}; at least 1 step")


class WeightsAndBiases(Sending):
    """All figures of metrics.jsonl, the previews of other observers and the exported model, at wandb.ai or in wandb/.

    Scalars stand at the number of their step, as in metrics.jsonl, under their term ("guidance.sds/gradient"); every picture
    FOLDER/step_N.png at the number of steps done; meshes (GLB, OBJ, STL) and their reports at the end. The config is the
    resolved recipe: its paths are sent too, but no code and nothing of git. A resumed run goes on under its id, which the
    run's folder keeps; steps that it does again are kept as they were first sent. Needs the package wandb, and for `online`
    a key (`wandb login`, or WANDB_API_KEY).
    """

    name: ClassVar[str] = "wandb"
    extras: ClassVar[Mapping[str, str]] = {"wandb": "wandb"}
    Config: ClassVar[type[Any]] = WandbConfig
    writes: ClassVar[tuple[str, ...]] = ("wandb/",)

    def __init__(self, config: WandbConfig) -> None:
        """Raises RecipeError where the package is missing, or the key for `online`."""
        super().__init__(config, config.every, config.media)
        if config.mode == "online" and not _has_key():
            raise RecipeError(
                "observers.wandb: mode online needs a key; run `wandb login`, set WANDB_API_KEY, or take "
                "observers.wandb.mode=offline"
            )
        self._run: Any = None

    def on_start(self, run: RunView) -> None:
        super().on_start(run)
        self._run = self._opened(run)

    def on_end(self, run: RunView, finished: bool) -> None:
        super().on_end(run, finished)
        if not finished:
            self._close(1)

    def on_exported(self, run: RunView) -> str:
        if self._run is None:
            if not (run.folder / ID).is_file():  # exported anew, of a run that was not sent
                return ""
            self._run = self._opened(run)
        online = self.config.mode == "online"
        line = f"wandb: {self._run.url}" if online else f"wandb sync {run.folder}/wandb/offline-* sends it"
        line = "" if self.config.mode == "disabled" else line
        for label in folder.exported_labels(run.folder):
            figures, files = folder.exported_files(run.folder, label)
            plain = {k: v for k, v in figures.items() if isinstance(v, (str, int, float))}
            self._run.summary.update({f"export.{label}/{key}": value for key, value in plain.items()})
            self._models(label, files, run.steps)
        self._close(0)
        return line

    def figures(self, step: int, figures: dict[str, float]) -> None:
        self._run.log({tag(name): value for name, value in figures.items()}, step=step)

    def picture(self, folder: str, path: Path, done: int) -> None:
        import wandb

        self._run.log({folder: wandb.Image(str(path))}, step=done)

    def _models(self, label: str, files: tuple[Path, ...], done: int) -> None:
        import wandb

        shown = [path for path in files if path.suffix.lower() in MODELS]
        if self.config.media and shown:
            self._run.log({f"export.{label}": wandb.Object3D(str(shown[0]))}, step=done)

    def _opened(self, run: RunView) -> Any:
        """The run there, new or gone on with.

        Raises:
            RunError: it cannot be opened.
        """
        import wandb

        kept = run.folder / ID
        known = kept.read_text(encoding="utf-8").strip() if kept.is_file() else ""
        own = known or secrets.token_hex(4)
        if not known and self.config.mode != "disabled":
            kept.parent.mkdir(exist_ok=True)
            write_text(kept, own + "\n")
        settings = wandb.Settings(console="off", silent=True, disable_code=True, disable_git=True)
        whole = folder.whole_run(run.folder)
        place = run.folder if whole == run.folder else Path(whole.name, run.folder.name)
        try:
            return wandb.init(
                project=self.config.project,
                name=self.config.name or (place.name if place == run.folder else place.as_posix()),
                dir=str(run.folder),
                id=own,
                # what is written offline is joined by `wandb sync`
                resume="allow" if self.config.mode == "online" else None,
                mode=self.config.mode,  # type: ignore[arg-type]
                config=_recipe(run.folder),
                reinit="create_new",
                settings=settings,
            )
        except wandb.errors.Error as error:
            raise RunError(f"observers.wandb: {error}; mend that, or take observers.wandb.mode=offline") from None

    def _close(self, code: int) -> None:
        if self._run is not None:
            self._run.finish(exit_code=code)
            self._run = None


def _has_key() -> bool:
    """Whether wandb would find one; it would ask for it otherwise, in the middle of a run."""
    if any(os.environ.get(name) for name in KEYS):
        return True
    named = os.environ.get("NETRC")
    places = [Path(named)] if named else [Path("~", name).expanduser() for name in (".netrc", "_netrc")]
    return any(_names(place, host) for place in places for host in _hosts())


def _names(place: Path, host: str) -> bool:
    """Whether a netrc file has a password for the host, and not just for others."""
    try:
        return netrc.netrc(str(place)).authenticators(host) is not None
    except (OSError, ValueError, netrc.NetrcParseError):
        return False


def _hosts() -> list[str]:
    """Of wandb's server: that of the environment, of its settings' file, or the public one."""
    settings = configparser.ConfigParser(interpolation=None)
    own = Path(os.environ.get("WANDB_CONFIG_DIR") or Path("~/.config/wandb").expanduser(), "settings")
    with contextlib.suppress(configparser.Error, OSError, ValueError):
        settings.read(own, encoding="utf-8")
    said = settings.get("default", "base_url", fallback="")
    given = os.environ.get("WANDB_BASE_URL") or said or "https://api.wandb.ai"
    with contextlib.suppress(ValueError):
        return [urlsplit(given).hostname or ""]
    return []


def _recipe(place: Path) -> dict[str, Any]:
    path = place / folder.RECIPE
    return read_yaml(path) if path.is_file() else {}
