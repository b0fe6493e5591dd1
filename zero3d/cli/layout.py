"""How `--help` looks: on one screen, with examples at its end."""

from __future__ import annotations

import argparse
import textwrap

MARK = "examples:"
LINES = 3
"""A longer usage is shortened: the options stand below."""
WIDTH = 54
"""Characters that a line of the list of commands has for what one does."""
SHELLS = ("bash", "zsh", "fish")
"""Those that `zero3d completion` has a script for."""

EXAMPLES = {
    "run": """
        zero3d run nano image=cat.png
        zero3d run nano image=cat.png out=runs/cat input.elevation_deg=30 steps=80
        zero3d run mvdream prompt="an astronaut riding a horse"
        zero3d run my.yaml image=cat.png --dry-run
    """,
    "resume": """
        zero3d resume runs/nano-cat
        zero3d resume runs/nano-cat steps=200 observers.viewer.port=0
    """,
    "export": """
        zero3d export runs/nano-cat export.mesh.resolution=256
    """,
    "reconstruct": """
        zero3d reconstruct nano_lift image=cat.png
        zero3d reconstruct point_e image=cat.png start.weights=point_e/
    """,
    "completion": """
        eval "$(zero3d completion bash)"                           in ~/.bashrc
        eval "$(zero3d completion zsh)"                            in ~/.zshrc
        zero3d completion fish > ~/.config/fish/completions/zero3d.fish
    """,
}
"""Of the core's own commands, in the order of `zero3d --help`."""


def laid_out(parser: argparse.ArgumentParser, examples: str = "") -> argparse.ArgumentParser:
    """The parser with these examples below its help, its usage in few lines; its actions likewise, each with its own."""
    if examples.strip():
        parser.formatter_class = argparse.RawDescriptionHelpFormatter
        parser.epilog = f"{MARK}\n{textwrap.indent(textwrap.dedent(examples).strip(), '  ')}"
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                lines = (line.strip() for line in examples.splitlines())
                laid_out(inner, "\n".join(line for line in lines if line.startswith(inner.prog)))
    if parser.usage is None and len(parser.format_usage().splitlines()) > LINES:
        needed = [action for action in parser._actions if action.required and action.option_strings]
        options = [f"{a.option_strings[-1]} {a.metavar or a.dest.upper()}" for a in needed]
        words = [_word(action) for action in parser._get_positional_actions()]
        parser.usage = " ".join(["%(prog)s [options]", *options, *words])
    return parser


def shortened(text: str) -> str:
    """What a command does, for the list of them: the first clause, on one line."""
    clause = text.partition(":")[0].partition(";")[0].rstrip(".")
    return textwrap.shorten(clause, WIDTH, placeholder=" …").replace("%", "%%")


def _word(action: argparse.Action) -> str:
    name = str(action.metavar or action.dest)
    return {"*": f"[{name} ...]", "?": f"[{name}]", "+": f"{name} [...]"}.get(str(action.nargs), name)
