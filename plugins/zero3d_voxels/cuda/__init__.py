"""The fused march on CUDA, by kernels in Triton."""
