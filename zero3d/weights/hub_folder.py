"""Weights on the Hugging Face hub: what is there, and fetching what is needed of it, once."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from zero3d.errors import RecipeError
from zero3d.interfaces.published import Published, find

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
"""A repository of the hub: owner/name."""
CONFIGS = ("model_index.json", "*/config.json")
"""What is fetched to be checked, before any weight."""
Value = TypeVar("Value")


class HubFolder:
    """A repository of the hub in diffusers' layout. `root`: its snapshot here, which holds the configurations."""

    def __init__(
        self,
        name: str,
        revision: str = "",
        offline: bool = False,
        known: Sequence[Published] = (),
        configs: Sequence[str] = CONFIGS,
        place: str = "denoiser.weights",
    ) -> None:
        """Fetches the configurations (kilobytes) and the list of files; offline, what was fetched before.

        Args:
            known: published weights, whose address, size and licence an error tells.
            configs: patterns of the files that are fetched now.
            place: the recipe's key, with which an error's line begins.

        Raises:
            RecipeError: no network, no such repository or revision, or a licence that was not accepted.
        """
        from huggingface_hub import HfApi, constants

        self.name, self.revision = name, revision or None
        self._known, self._configs, self._place = known, list(configs), place
        self._offline = offline or constants.HF_HUB_OFFLINE
        self.root = self._fetch(self._configs)
        if self._offline:
            self.files = sorted(path.relative_to(self.root).as_posix() for path in self.root.glob("*/*"))
        else:
            info = self._ask(lambda: HfApi().model_info(name, revision=self.revision, timeout=20))
            self.files = [sibling.rfilename for sibling in info.siblings or []]

    def fetch(self, files: list[str]) -> None:
        """Download these files into `root`, if they are not there."""
        self._fetch([*self._configs, *files])

    def _fetch(self, patterns: list[str]) -> Path:
        from huggingface_hub import snapshot_download

        return Path(
            self._ask(
                lambda: snapshot_download(
                    self.name,
                    revision=self.revision,
                    allow_patterns=patterns,
                    local_files_only=self._offline,
                    etag_timeout=10,
                )
            )
        )

    def _ask(self, request: Callable[[], Value]) -> Value:
        from huggingface_hub import errors

        # which HTTP library raises when nobody answers has changed from version to version of the hub's client
        unreachable: Any = (OSError, ValueError, *errors.HfHubHTTPError.__bases__)
        page = f"https://huggingface.co/{self.name}"
        entry = find(self.name, self._known)
        try:
            return request()
        except errors.GatedRepoError:
            remedy = f"accept its licence on {page}, then run `hf auth login`"
        except errors.RevisionNotFoundError:
            remedy = f"it has no revision {self.revision!r}; see {page}/commits/main"
        except errors.RepositoryNotFoundError:
            remedy = f"neither a folder here nor a repository at {page}; `zero3d weights list` shows the known ones"
        except unreachable as error:
            sentence = (str(error).splitlines() or ["no answer"])[0].split(". ")[0][:120]
            reason = f"{type(error).__name__}: {sentence}"
            where = entry.line if entry else page
            remedy = f"not in the cache, and the hub does not answer ({reason}); get it on a connected machine: {where}"
        raise RecipeError(f"{self._place}: {self.name!r}: {remedy}") from None
