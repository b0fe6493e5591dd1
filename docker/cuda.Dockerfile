# zero3d on NVIDIA GPUs, with nerfacc, gsplat, tiny-cuda-nn and PyTorch3D compiled in the image. From the checkout's root:
#   docker build -f docker/cuda.Dockerfile --build-arg ARCHES=9.0 -t zero3d:cuda .
#   docker run --rm --gpus all -v "$PWD/runs:/runs" -v "$PWD/weights:/weights" zero3d:cuda run zero123-ngp image=/runs/cat.png
# It takes tens of minutes and some 20 GB: four extensions are compiled by nvcc for each of ARCHES.

# The devel image has nvcc. Its CUDA must be that of the PyTorch build below (cu128)
ARG BASE=nvidia/cuda:12.8.1-devel-ubuntu24.04
FROM ${BASE}

ARG TORCH_INDEX=https://download.pytorch.org/whl/cu128
# Below 2.11 extensions are compiled as C++17, which nerfacc 0.5.3 was written for. A newer one works with the mend below
ARG TORCH=torch>=2.7,<2.11
# Compute capabilities, those of your GPUs: 7.5 T4, 8.0 A100, 8.6 RTX 30 and A6000, 8.9 RTX 40 and L4, 9.0 H100
ARG ARCHES=8.0;8.6;8.9;9.0
ARG EXTRAS=heic,tensorboard,peft
# Compilers at once: each takes some 4 GB
ARG MAX_JOBS=4

ENV DEBIAN_FRONTEND=noninteractive
# Python's headers, git and a C++ compiler for the extensions
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends build-essential ca-certificates git ninja-build python3-dev python3-venv \
    && rm -rf /var/lib/apt/lists/*

# A user of its own (Ubuntu's image has one of number 1000 already), /runs for results, /weights for downloads
RUN useradd --uid 1001 --create-home zero3d \
    && mkdir -p /runs /weights /opt/extensions \
    && chown zero3d:zero3d /runs /weights /opt/extensions \
    && chmod 1777 /runs /weights

RUN python3 -m venv /opt/zero3d
ENV PATH=/opt/zero3d/bin:$PATH \
    TORCH_CUDA_ARCH_LIST=${ARCHES} \
    MAX_JOBS=${MAX_JOBS}
# setuptools and wheel: PyTorch3D and tiny-cuda-nn are built against the PyTorch that is installed, without isolation
# hadolint ignore=DL3013
RUN pip install --no-cache-dir --index-url "${TORCH_INDEX}" "${TORCH}" \
    && pip install --no-cache-dir "setuptools>=77,<81" "wheel>=0.45"

# tiny-cuda-nn: the fast kernel of the representation hash_grid. It wants capabilities without a dot: 8.0;9.0 -> 80;90
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# hadolint ignore=DL3059
RUN TCNN_CUDA_ARCHITECTURES="${ARCHES//./}" pip install --no-cache-dir --no-build-isolation \
    "git+https://github.com/NVlabs/tiny-cuda-nn@v2.0#subdirectory=bindings/torch"

# PyTorch3D: what the renderer rasterizer draws meshes with on CUDA. FORCE_CUDA: there is no GPU while an image is built
# hadolint ignore=DL3059
RUN FORCE_CUDA=1 pip install --no-cache-dir --no-build-isolation \
    "git+https://github.com/facebookresearch/pytorch3d@V0.7.9"

COPY pyproject.toml setup.py README.md LICENSE /src/
COPY zero3d /src/zero3d
COPY plugins /src/plugins
COPY recipes /src/recipes
# nerfacc and gsplat come with zero3d's extras, as sources
RUN pip install --no-cache-dir "/src[${EXTRAS},nerfacc,gsplat]"

# nerfacc 0.5.3 defines a `lerp` that C++20 (PyTorch 2.11 and later) has already: it is put under a condition
COPY tools/gpu.py /src/tools/
RUN python -c "import pathlib, sys, sysconfig; sys.path.insert(0, '/src/tools'); import gpu; gpu.mend(pathlib.Path(sysconfig.get_path('purelib')))"

USER 1001
ENV HOME=/home/zero3d \
    HF_HOME=/weights \
    NUMBA_CACHE_DIR=/home/zero3d/.cache/numba \
    TORCH_EXTENSIONS_DIR=/opt/extensions
# Their kernels are compiled when they are first imported: now, and not in everybody's first run.
# Whoever runs the image with --user writes there, too: locks, and what is compiled for another GPU
RUN python -c "import nerfacc.cuda._backend as b; assert b._C is not None" \
    && python -c "import gsplat.cuda._backend as b; assert b._C is not None" \
    && chmod -R a+rwX /opt/extensions /home/zero3d
VOLUME ["/runs", "/weights"]
WORKDIR /
ENTRYPOINT ["zero3d"]
CMD ["--help"]
