# The CPU way: ONNX Runtime stands in for the Ascend tools. A build and two commands:
#   docker build -t ascend-models .
#   docker run --name all ascend-models make all
#   docker cp all:/zoo/build/report.html .
FROM python:3.11.11-slim-bookworm
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends git make \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1000 --create-home zoo && install --directory --owner 1000 /zoo
USER 1000
WORKDIR /zoo
COPY --chown=1000 requirements.txt pyproject.toml ./
COPY --chown=1000 common common
RUN bash common/make/setup.sh . "$(command -v python3)"
COPY --chown=1000 . .
CMD ["make"]
