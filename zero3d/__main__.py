"""`python -m zero3d`, which launchers of several processes start."""

from zero3d.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
