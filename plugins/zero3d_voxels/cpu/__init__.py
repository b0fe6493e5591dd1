"""The fused march on a CPU, by kernels that numba compiles."""
