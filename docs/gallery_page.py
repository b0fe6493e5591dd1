"""docs/gallery/index.md: every recipe with what it makes, needs and costs, from what `zero3d recipes --json` lists.

A picture is shown where make_gallery.py made one; nothing is drawn by hand.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from zero3d.recipe import read_yaml, recipes
from zero3d.registry import Registry
from zero3d_diagnostics.recipes.reading import RecipeSummary, Weights, tell

PICTURES = Path(__file__).parent / "gallery"
CAPTIONS = {
    "nano": "Four pictures that nano was not trained on, the mesh from 0, 90, 180 and 270 degrees, its bare shape from 45.",
    "nano-gaussians": "The picture, the Gaussians from 0, 90, 180 and 270 degrees, the bare shape of the mesh beside them.",
    "views": "Above, the eight pictures that it was given; below, the mesh from between their cameras.",
    "train-nano": "Some of the procedural objects that nano is trained on.",
    "nano_lift": "`zero3d reconstruct nano_lift`: the solid that nano lifts the picture to, in one shot.",
    "novel_views": "`zero3d views`: what nano itself draws, without any 3D, 60 degrees apart.",
}
GROUPS = {
    "Made here": "Their weights come with zero3d, or there are none.",
    "From a picture": "",
    "From words": "",
    "From several pictures": "",
    "Training": "",
}
NEEDED = {"picture": "a picture", "pictures": "pictures with known cameras", "prompt": "words", "dataset": "a dataset"}
STEPS = {
    "zero123": "a guidance step of the full-size network with random weights takes 3.4 s on two CPU cores, "
    "45.8 ms on an H200 in bfloat16",
    "mvdream": "a guidance step of 4 views, full size with random weights, takes 29.1 s on one CPU thread",
    "imagedream": "a guidance step of 4 views, full size with random weights, takes 18.0 s on one CPU thread",
}
"""By the denoiser's type, as benchmarks/README.md measured it."""


def gallery_page(registry: Registry) -> str:
    """The page's Markdown."""
    found = {name: (tell(file, registry), read_yaml(file)) for name, file in recipes().items()}
    lines = [
        "# Gallery",
        "",
        "Every recipe: what it makes, what it needs, what it costs. Pictures are of runs of the recipe as it is "
        "(`docs/make_gallery.py`). **Measured** figures are ours, with their commands in [Benchmarks](../benchmarks.md); "
        "**published** ones are what the authors report; where nobody here has run a recipe with "
        "its full weights, it says so. "
        "`zero3d recipes` has this list for your machine, [Recipes](../recipes.md) the files.",
        "",
    ]
    for title, words in GROUPS.items():
        lines += [f"## {title}", "", *([words, ""] if words else [])]
        order = [*(name for name in CAPTIONS if name in found), *(name for name in found if name not in CAPTIONS)]
        for summary, source in map(found.__getitem__, order):
            if group(summary) == title:
                lines += section(summary, source)
        if title == "Made here":
            lines += ["### Without a recipe", "", *figure("nano_lift"), *figure("novel_views")]
    return "\n".join(lines)


def group(summary: RecipeSummary) -> str:
    if pictured(summary.name):
        return "Made here"
    if "prompt" in summary.needs and "picture" not in summary.needs:
        return "From words"
    if "pictures" in summary.needs:
        return "From several pictures"
    return "From a picture" if "picture" in summary.needs else "Training"


def section(summary: RecipeSummary, source: Mapping[str, object]) -> Iterator[str]:
    yield from (f"(gallery-{summary.name})=", f"### {summary.name}", "", f"{plain(summary.summary)}.", "")
    yield from figure(summary.name)
    yield from ("```console", f"$ {summary.example}", "```", "")
    given = [NEEDED[need] for need in summary.needs]
    extras = [f"the extra `{extra}`" for extra, _ in summary.extras if extra not in ("grabcut", "heic", "gsplat")]
    needs = [*given, *(weights(own) for own in {own.name: own for own in summary.weights}.values()), *extras]
    yield from (f"- needs: {'; '.join(needs) or 'nothing'}", *costs(summary, source))
    if not pictured(summary.name):
        yield "- no picture: its weights are fetched or brought by you, and nobody here has run it with them"
    yield ""


def weights(own: Weights) -> str:
    if own.published is None:
        return f"`{own.name}`" + (" (comes with zero3d)" if own.name == "nano" else "")
    about = ", ".join(filter(None, (own.size, plain(own.published.licence))))
    return f"[`{own.name}`]({own.published.where}) ({about})"


def costs(summary: RecipeSummary, source: Mapping[str, object]) -> Iterator[str]:
    steps = f"{summary.steps:,} steps" if summary.steps else "no steps"
    yield f"- costs: {steps}; " + (
        "; ".join(map(marked, summary.costs)) or "not measured, and no published figure is known"
    )
    blocks = [source.get("denoiser"), *(dict(source.get("denoisers") or {}).values())]
    for kind in dict.fromkeys(block.get("type") for block in blocks if isinstance(block, Mapping)):
        if kind in STEPS and not pictured(summary.name):
            yield f"- **measured**: {STEPS[kind]}"


def marked(cost: str) -> str:
    """Who says so, before what a recipe's header says of times and machines."""
    if cost[1:2].islower():
        cost = cost[0].lower() + cost[1:]
    if "report" in cost or "the authors" in cost:
        return f"**published**: {plain(cost)}"
    return plain(cost) if "nobody here" in cost or "aim" in cost else f"**measured**: {plain(cost)}"


def pictured(name: str) -> bool:
    """Whether make_gallery.py drew it."""
    return (PICTURES / f"{name}.jpg").is_file()


def figure(name: str) -> Iterator[str]:
    if pictured(name):
        yield from (f"![{name}]({name}.jpg)", "", CAPTIONS.get(name, ""), "")


def plain(text: str) -> str:
    """Text of a header, without a meaning as Markdown."""
    return "".join("\\" + letter if letter in "*_<>[]#$" else letter for letter in text)
