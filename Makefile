# make demo    install into .venv, make a 3D model of examples/mug.png in runs/demo
# make test    style, types, architecture, tests
# make lint    the first three alone
# make docs    the documentation, in build/docs/index.html
# make clean   remove .venv and what tools leave behind; runs/ stays

BIN := .venv/bin

.PHONY: demo test lint docs clean
.DEFAULT_GOAL := demo

demo: .venv/.installed
	rm -rf runs/demo
	$(BIN)/zero3d run nano image=examples/mug.png out=runs/demo
	@echo
	@echo "All of it in one page: runs/demo/report.html (any browser); the model by itself: runs/demo/mesh.glb (any glTF viewer)"
	@echo "Your own:  $(BIN)/zero3d run nano image=YOUR.png out=runs/yours"

test: lint
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist loadfile

lint: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict zero3d
	$(BIN)/mypy plugins
	$(BIN)/lint-imports

docs: .venv/.installed-dev
	$(BIN)/sphinx-build -W --keep-going -n -q docs build/docs
	@echo "The site: build/docs/index.html"

clean:
	rm -rf docs/reference docs/gallery/index.md .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist *.egg-info
	find zero3d plugins tests -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps are younger than pyproject.toml as long as what is installed is what it asks for.
.venv/.installed: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --disable-pip-version-check -e .
	@touch $@

.venv/.installed-dev: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --disable-pip-version-check -e '.[dev]'
	@touch $@ .venv/.installed

.venv/bin/python:
	@for python in python3.11 python3.12 python3.13 python3; do \
	  if $$python -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	    echo "$$python -m venv .venv"; exec $$python -m venv .venv; \
	  fi; \
	done; \
	echo "zero3d needs Python 3.11 or later with venv (Debian, Ubuntu: apt install python3.11-venv); none was found" >&2; \
	exit 1
