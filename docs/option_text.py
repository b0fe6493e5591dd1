"""What a Config's docstring says of each option: `name: text. other, another: text.`, or "`name` of this; `other`: that"."""

import dataclasses
import inspect
import re

from zero3d import Schedule


@dataclasses.dataclass(frozen=True)
class Option:
    """One row of a table: plain text, empty where nothing is known."""

    name: str
    type: str
    default: str
    text: str


def options_of(config):
    """The options of a dataclass, in order; what a class says of a field is sought in it, then in its bases."""
    texts = {}
    for base in reversed(config.__mro__):
        if dataclasses.is_dataclass(base) and "__doc__" in vars(base):
            texts |= split_docstring(base.__doc__, [field.name for field in dataclasses.fields(config)])
    made = _defaults(config)
    return [
        Option(f.name, _type(f, made.get(f.name)), _default(f), texts.get(f.name, ""))
        for f in dataclasses.fields(config)
    ]


def split_docstring(docstring, names):
    """name -> what the docstring says of it. Names that share a text ("min_t, max_t: ...") each get it."""
    text = " ".join(inspect.cleandoc(docstring or "").split())
    name = "`?(?:" + "|".join(sorted(map(re.escape, names), key=len, reverse=True)) + ")`?"
    if not names:
        return {}
    marks = list(re.finditer(rf"(?<!\S){name}(?:(?:, | and ){name})*:(?= )", text))
    if all(
        "`" in mark.group() for mark in marks
    ):  # the style of backticks: what has no colon starts at its first mention
        known = {option for mark in marks for option in re.findall(r"\w+", mark.group())}
        for option in set(names) - known:
            marks += list(re.finditer(rf"`{re.escape(option)}`", text))[:1]
        marks.sort(key=lambda mark: mark.start())
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    found = {}
    for mark, end in zip(marks, ends[: len(marks)], strict=True):
        said = re.sub(r"[\s,;.]*(?:\band)?\s*$", "", text[mark.end() : end])
        for option in re.findall(r"\w+", mark.group()):
            if option in names and said:
                found.setdefault(option, said.strip())
    for option in set(names) - set(found):  # no mark of its own: the sentence that mentions it
        said = re.search(rf"(?:^|(?<=\. ))[^.]*(?<!\w){re.escape(option)}(?!\w)[^.]*", text)
        if said:
            found[option] = said.group().strip()
    return found


def _defaults(config):
    """The values after `__post_init__`, where the class can be made without arguments."""
    try:
        return vars(config())
    except (TypeError, ValueError):
        return {}


def _type(field, value):
    if isinstance(value, Schedule):
        return "number or schedule"
    name = field.type if isinstance(field.type, str) else getattr(field.type, "__name__", str(field.type))
    return "any" if name == "Any" else name


def _default(field):
    if isinstance(field.default, float):
        return f"{field.default:g}"
    if field.default is not dataclasses.MISSING:
        return repr(field.default)
    if field.default_factory is not dataclasses.MISSING:
        made = field.default_factory()
        return "see its own options" if dataclasses.is_dataclass(made) else repr(made)
    return "required"
