"""What `tools/gpu.py truth` measures, a module for each group of checks."""
