"""How Sphinx builds this site: `make docs`, then open build/docs/index.html."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import generate  # noqa: E402 (found beside this file)
import turning  # noqa: E402

import zero3d  # noqa: E402

project = "zero3d"
author = "the authors of zero3d"
copyright = "the authors of zero3d, Apache-2.0"
version = release = zero3d.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["build"]
html_theme = "furo"
html_title = f"zero3d {release}"
html_show_sourcelink = False
html_copy_source = False

myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence", "deflist", "html_image"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "undoc-members": True}
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100
default_role = "code"

nitpicky = True
# No network while building, so names of other libraries stay plain text; every name of ours must lead somewhere.
nitpick_ignore_regex = [(r"py:.*", r"(?!zero3d).*"), (r"py:class", r"zero3d\.testing\.\w+\.\w+Config")]


def setup(app):
    generate.write_pages(HERE / "reference")
    generate.write_gallery(HERE / "gallery")
    app.connect("build-finished", turning.write)
    app.connect("autodoc-process-docstring", generate.plain_docstring)
