# docker build -t lit-experiments . && docker run --rm -v "$PWD/runs:/work/runs" lit-experiments run tempnorm
# For GPUs give a base image with CUDA (--build-arg BASE=...) and the matching torch (--build-arg TORCH=torch==2.13.0).
ARG BASE=python:3.11-slim-bookworm
FROM ${BASE} AS build
RUN apt-get update && apt-get install -y --no-install-recommends git make && rm -rf /var/lib/apt/lists/*

FROM build
ARG TORCH="torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu"
WORKDIR /src
RUN pip install --no-cache-dir ${TORCH}
COPY pyproject.toml requirements.lock README.md LICENSE ./
COPY lit_experiments lit_experiments
COPY stores stores
COPY configs configs
RUN pip install --no-cache-dir -c requirements.lock .
WORKDIR /work
ENTRYPOINT ["lit-experiments"]
CMD ["list"]
