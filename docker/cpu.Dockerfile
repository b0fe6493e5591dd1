# zero3d on a CPU. From the checkout's root:
#   docker build -f docker/cpu.Dockerfile -t zero3d:cpu .
#   docker run --rm -v "$PWD/runs:/runs" -v "$PWD/cat.png:/cat.png:ro" zero3d:cpu run nano image=/cat.png
# The container writes as user 1000; give another with --user "$(id -u):$(id -g)".

# Any Debian or Ubuntu with Python 3.11 or later will do
ARG BASE=python:3.11-slim-bookworm
FROM ${BASE}

# PyTorch's builds without CUDA: PyPI's own for Linux bring gigabytes of it
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
# Extras of pyproject.toml that are wanted, for example heic,tensorboard,viewer
ARG EXTRAS=heic,tensorboard

# A user of its own, with a home for caches; /runs for results, /weights for what the hub's client downloads
RUN useradd --uid 1000 --create-home zero3d \
    && mkdir -p /runs /weights \
    && chown zero3d:zero3d /runs /weights \
    && chmod 1777 /runs /weights

# Packages go into an environment of their own: Debian's Python refuses them in its own
RUN python3 -m venv /opt/zero3d
ENV PATH=/opt/zero3d/bin:$PATH

# PyTorch alone first: a change of zero3d does not fetch it again
COPY pyproject.toml /src/
RUN pip install --no-cache-dir --index-url "${TORCH_INDEX}" "$(python -c 'import tomllib; print(tomllib.load(open("/src/pyproject.toml", "rb"))["project"]["dependencies"][0])')"

COPY setup.py README.md LICENSE /src/
COPY zero3d /src/zero3d
COPY plugins /src/plugins
COPY recipes /src/recipes
RUN pip install --no-cache-dir "/src[${EXTRAS}]"

USER 1000
ENV HOME=/home/zero3d \
    HF_HOME=/weights \
    NUMBA_CACHE_DIR=/home/zero3d/.cache/numba
# Whether it starts, and every plug-in is found (`zero3d plugins doctor` says more, in the container)
RUN zero3d recipe check nano && chmod -R a+rwX /home/zero3d
VOLUME ["/runs", "/weights"]
# A run without out= is in runs/RECIPE-PICTURE of the working folder
WORKDIR /
ENTRYPOINT ["zero3d"]
CMD ["--help"]
