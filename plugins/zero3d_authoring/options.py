"""A component's options as its Config declares them: name, type, default, and what the docstring says of each.

Docstrings name every option, in one of two ways: "`size`: pixels. `views`: panels" or "size: pixels. low, high: ...";
what is said of an option reaches to the next one's mark.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Sequence
from typing import Any

import yaml

from zero3d import Schedule

SCHEDULE = "number or schedule"


@dataclasses.dataclass(frozen=True)
class Option:
    """One option. `value` is the plain default, as a recipe would write it; None beside `required`."""

    name: str
    type: str
    value: Any
    required: bool
    text: str

    @property
    def default(self) -> str:
        """The default in words."""
        return "required" if self.required else plain(self.value)


def options_of(config: type[Any]) -> list[Option]:
    """The options of a dataclass, in order; what is said of one is sought in the class, then in its bases."""
    fields = dataclasses.fields(config)
    names = [field.name for field in fields]
    texts: dict[str, str] = {}
    for base in reversed(config.__mro__):
        if dataclasses.is_dataclass(base):
            own = [name for name in names if name in vars(base).get("__annotations__", {})]
            texts |= described(_docstring(base), names, own)
    refused = _refused(config, {field.name: field.default for field in fields})
    return [_option(config, field, texts.get(field.name, ""), field.name in refused) for field in fields]


def described(docstring: str, names: Sequence[str], own: Sequence[str] | None = None) -> dict[str, str]:
    """name -> what the docstring says of it, in one line. Names that share a mark ("low, high: ...") share the text.

    Args:
        own: the names that the docstring must explain, and may do so without a colon; all of `names` if None.
    """
    own = names if own is None else own
    if not names:
        return {}
    text = " ".join(inspect.cleandoc(docstring).split())
    one = "(?:" + "|".join(sorted(map(re.escape, names), key=len, reverse=True)) + ")"
    marked = re.compile(rf"(?<![\w`.])(?:`{one}`|{one})(?:(?:, | and )(?:`{one}`|{one}))*:(?= )")
    marks: list[tuple[int, int, set[str]]] = []
    taken: set[str] = set()
    for mark in marked.finditer(text):
        new = set(re.findall(r"\w+", mark.group())) & set(names) - taken  # a second mark of a name is an example
        if new:
            marks.append((mark.start(), mark.end(), new))
            taken |= new
    for name in own:
        if name not in taken and (mention := re.search(rf"`{re.escape(name)}`", text)):
            marks.append((mention.start(), mention.end(), {name}))
    marks.sort(key=lambda mark: mark[0])
    ends = [*(start for start, _, _ in marks[1:]), len(text)][: len(marks)]
    found: dict[str, str] = {}
    for (_, start, shared), end in zip(marks, ends, strict=True):
        said = re.sub(r"[\s,;.]*(?:\band\b)?\s*$", "", text[start:end]).strip()
        found |= dict.fromkeys(shared, said)
    for name in set(own) - set(found):  # no mark of its own: the sentence that mentions it
        if mention := re.search(rf"(?:^|(?<=\. ))[^.]*(?<!\w){re.escape(name)}(?!\w)[^.]*", text):
            found[name] = mention.group().strip()
    return {name: said for name, said in found.items() if said}


def plain(value: Any) -> str:
    """A value as YAML writes it in one line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000)
    return text.removesuffix("\n").removesuffix("...").strip()


def _docstring(config: type[Any]) -> str:
    """What its author wrote; `dataclass` puts a signature where there is nothing (python -OO)."""
    text = vars(config).get("__doc__") or ""
    return "" if text.startswith(f"{config.__name__}(") else text


def _refused(config: type[Any], defaults: dict[str, Any]) -> set[str]:
    """The options whose empty default `__post_init__` refuses ("prompt: missing; ..."): a recipe must give them."""
    given: dict[str, str] = {}
    while True:
        try:
            config(**given)
        except ValueError as error:
            name = str(error).partition(":")[0]
            if defaults.get(name) == "" and name not in given:
                given[name] = "given"
                continue
        except TypeError:  # one has no default at all
            pass
        return set(given)


def _option(config: type[Any], field: Any, text: str, refused: bool) -> Option:
    no_default = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    value = None
    if field.default is not dataclasses.MISSING:
        value = field.default
    elif field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            value = dataclasses.asdict(value)
    return Option(field.name, _type(config, field), value, no_default or refused, text)


def _type(config: type[Any], field: Any) -> str:
    """The annotation; `Any` that `__post_init__` makes a Schedule of is named so."""
    name = field.type if isinstance(field.type, str) else getattr(field.type, "__name__", str(field.type))
    if name != "Any":
        return str(name)
    try:
        made = getattr(config(), field.name)
    except (TypeError, ValueError):
        return "any"
    return SCHEDULE if isinstance(made, Schedule) else "any"
