"""What `batch` and `sweep` share: the options that say where and by whom, and the way from the runs wanted to those made."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zero3d.errors import UserError
from zero3d.interfaces import Executor
from zero3d.recipe import typed
from zero3d.registry import Registry
from zero3d_batch.many.drive import Drive, Page
from zero3d_batch.many.items import Item, Wanted, checked
from zero3d_batch.many.naming import LOGS


def add_executor_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of batch and sweep that say who runs."""
    add = parser.add_argument
    add("--out", type=Path, metavar="FOLDER", help="where the runs go, as out=FOLDER (runs/COMMAND-RECIPE-PICTURE)")
    add("--executor", metavar="NAME", help="processes (of this machine), ray, or a plug-in's (processes)")
    add("--workers", type=int, metavar="N", help="runs at once (one for each GPU, or for every two cores)")
    add("--threads", type=int, metavar="N", help="threads of a run on the processor (an even share of the cores)")
    add("--gpus", type=float, metavar="X", help="GPUs of a run, 0.5 for two on one (1 where there are any)")
    add("--attempts", type=int, metavar="N", help="how often a run whose worker is killed is tried (3)")
    add("--ray-address", metavar="HOST:PORT", help="the head of a Ray cluster (the executor ray, started here)")
    add("--dry-run", dest="list_only", action="store_true", help="say which runs there would be, and check them")


def executor_of(registry: Registry, arguments: argparse.Namespace, logs: Path) -> Executor:
    """The executor that the options name.

    Raises:
        UserError: there is none of that name, or it takes no such option.
    """
    name = arguments.executor or ("ray" if arguments.ray_address else "processes")
    component = registry.get("executor", name, "--executor")
    given = {"workers": arguments.workers, "threads": arguments.threads, "gpus": arguments.gpus}
    given |= {"attempts": arguments.attempts, "address": arguments.ray_address}
    options: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    if "logs" in component.Config.__dataclass_fields__:
        options["logs"] = str(logs)
    made: Executor = component(typed(component.Config, options, f"--executor {name}:"))  # type: ignore[assignment]
    return made


def carry_out(
    arguments: argparse.Namespace, place: tuple[Path, bool], common: Sequence[str], wanted: Sequence[Wanted], page: Page
) -> int:
    """Check all runs, then list or make them. Returns the exit code: 1 if a run failed.

    place: as `folder_of` gives it. common: the overrides of all runs, without `out`.

    Raises:
        UserError: an option, a key of the recipe or a value is wrong; nothing was made.
    """
    from zero3d.run import say

    registry: Registry = arguments.registry
    out, named = place
    shard = getattr(arguments, "shard", None)
    if shard and not named:
        raise UserError("--shard: all shares have one folder; name it, out=FOLDER")
    executor = executor_of(registry, arguments, out / LOGS)
    items = checked(arguments.recipe, registry, out, common, wanted)
    drive = Drive(
        recipe=arguments.recipe,
        registry=registry,
        out=out,
        common=common,
        items=items,
        mine=shard_of(shard, items),
        page=page,
        offline=os.environ.get("HF_HUB_OFFLINE") == "1",
        named=named,
        say=say,
    )
    if not arguments.list_only:
        return drive.run(executor)
    for item, state in zip(drive.mine, drive.states().values(), strict=True):
        print("  ".join(filter(None, [f"{state:5} {item.folder}", item.image, " ".join(item.overrides)])))
    return 0


def shard_of(text: str | None, items: Sequence[Item]) -> list[Item]:
    """The share i of n (1/4, 2/4, ...) of the items: every n-th.

    Raises:
        UserError: it is none.
    """
    if text is None:
        return list(items)
    first, slash, last = text.partition("/")
    if not (slash and first.isdigit() and last.isdigit() and 1 <= int(first) <= int(last)):
        raise UserError(f"--shard {text}: i/n with i from 1 to n, for example 1/4")
    return list(items[int(first) - 1 :: int(last)])
