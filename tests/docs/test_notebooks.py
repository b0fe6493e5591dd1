"""The notebooks of examples/, cell by cell in this process, in small: their last lines can be shown."""

import ast
import json
import re
from pathlib import Path

import pytest

from zero3d import api

SMALL = {
    "steps": 2,
    "device": "cpu",
    "start": {"type": "ellipsoid"},
    "representation.resolution": 16,
    "cameras.resolution": 16,
    "renderer": {"type": "volume", "step_ratio": 2.0},
    "observers": {"preview": {"every": 2, "size": 16, "views": 2}},
    "export": {"mesh": {"type": "marching_cubes", "resolution": 16}},
}
NOTEBOOKS = sorted(Path("examples").glob("*.ipynb"))


def cells(path):
    """The code of every cell, but those that install."""
    found = json.loads(path.read_text(encoding="utf-8"))
    code = [cell for cell in found["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)  # committed without
    return ["".join(cell["source"]) for cell in code if "%pip" not in "".join(cell["source"])]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_notebook_guesses_an_address(path):
    """Where zero3d is published, nobody has said: pyproject.toml has no address either."""
    found = re.findall(r"https?://[\w.-]+/[\w./-]*", path.read_text(encoding="utf-8"))
    assert [one for one in found if "zero3d" in one] == []


def carried_out(code, names):
    """What a notebook would show of the cell: its last expression; None without one."""
    tree = ast.parse(code)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    return eval(compile(ast.Expression(last.value), "cell", "eval"), names) if last else None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_of_a_notebook_runs(path, tmp_path, monkeypatch, capsys):
    whole = api.run

    def in_small(recipe, image=None, out=None, overrides=None, **keywords):
        return whole(recipe, image, out, {**SMALL, **(overrides or {})}, **keywords)

    monkeypatch.setattr(api, "run", in_small)
    (tmp_path / "examples").symlink_to(Path("examples").resolve())
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    shown = [carried_out(code, names) for code in cells(tmp_path / path)]
    kinds = {type(value).__name__ for value in shown}
    assert {"Run", "Mesh", "Image", "Figures"} <= kinds
    assert all(value._repr_html_() for value in shown if isinstance(value, api.Run | api.Mesh | api.Figures))
    told = capsys.readouterr().out
    assert "wrote " in told
    assert "Did you mean 'guidance_scale'?" in told
    assert names["run"].mesh.is_watertight


def test_every_figure_of_a_run_is_explained(tmp_path):
    text = Path("docs/metrics.md").read_text(encoding="utf-8")
    names = [name for line in text.splitlines() if line.startswith("| `") for name in re.findall(r"`([^`]+)`", line)]
    holes = {"<term>": r"(guidance|regularizers)\.\w+", "<name>": r".+"}
    known = [re.sub(r"<\w+>", lambda hole: holes.get(hole[0], r"\w+"), re.escape(name)) for name in names]
    known += [f"{name}\\.[\\w.]+" for name in known if ".cosine" in name.replace("\\", "")]
    options = {**SMALL, "observers": {"gradients": {"every": 1}}, "export": {}, "regularizers.opaque.weight": 1}
    run = api.run("nano", "examples/mug.png", tmp_path / "out", {**options, "start": None}, progress=False)
    assert "regularizers.opaque.cosine.sds" in run.metrics
    assert [key for key in run.metrics if not any(re.fullmatch(one, key) for one in known)] == []
