# Two images from one file: `--target cpu`, the default, and `--target cuda`, whose torch brings CUDA along.

FROM python:3.11.14-slim-bookworm AS tools
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_NO_CACHE=1
# What compiles the kernels of `annotate/int8_kernels.c`.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY constraints.txt ./
RUN python -m venv /opt/comention \
    && /opt/comention/bin/pip install --no-cache-dir --constraint constraints.txt uv

# What comention needs, in a layer that changes with these two files only.
FROM tools AS needs-cpu
COPY pyproject.toml ./
RUN /opt/comention/bin/uv pip install --python /opt/comention/bin/python --constraint constraints.txt \
    --torch-backend=cpu --requirements pyproject.toml --extra dashboard --extra export --extra otel

# PyPI's own build of torch is the one with CUDA; the driver is all that the host has to bring.
FROM tools AS needs-cuda
COPY pyproject.toml ./
RUN /opt/comention/bin/uv pip install --python /opt/comention/bin/python --constraint constraints.txt \
    --requirements pyproject.toml --extra dashboard --extra export --extra otel --extra gpu

FROM needs-cpu AS built-cpu
COPY . .
RUN /opt/comention/bin/uv pip install --python /opt/comention/bin/python --build-constraint constraints.txt --no-deps .

FROM needs-cuda AS built-cuda
COPY . .
RUN /opt/comention/bin/uv pip install --python /opt/comention/bin/python --build-constraint constraints.txt --no-deps .

# What running takes: no compiler, no installer's cache, a user that owns nothing but its two folders.
FROM python:3.11.14-slim-bookworm AS base
RUN groupadd --system --gid 10001 comention \
    && useradd --system --uid 10001 --gid 10001 --no-create-home comention \
    && install --directory --owner 10001 --group 10001 /var/lib/comention /var/cache/huggingface
ENV PATH=/opt/comention/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HF_HOME=/var/cache/huggingface \
    COMENTION_HOME=/var/lib/comention
WORKDIR /var/lib/comention
USER 10001:10001
ENTRYPOINT ["comention"]
CMD ["--help"]

FROM base AS cuda
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=built-cuda /opt/comention /opt/comention

FROM base AS cpu
COPY --from=built-cpu /opt/comention /opt/comention
