# One image for every process of the platform: the command says which one it becomes (docs/compose.md).
# Two builds of the same sources give the same files; `make compose-proof` compares them. To hold the base still as well, name it by
# its digest: --build-arg PYTHON=python:3.11-slim-bookworm@sha256:…
ARG PYTHON=python:3.11-slim-bookworm

FROM ${PYTHON} AS build
# Nothing of the hour, the machine or chance may show in what is built.
ARG SOURCE_DATE_EPOCH=1767225600
ENV SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH} PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
WORKDIR /srv/onecard
RUN python3 -m venv /tools && python3 -m venv --without-pip /opt/onecard
COPY requirements-image.txt requirements.txt /tmp/
RUN --mount=type=cache,target=/root/.cache/pip \
    /tools/bin/pip install -q --no-compile --require-hashes --only-binary :all: -r /tmp/requirements-image.txt \
 && /tools/bin/pip --python /opt/onecard/bin/python install -q --no-compile --require-hashes --only-binary :all: -r /tmp/requirements.txt
COPY . .
# Generated code, and our own packages by a path: the settings, tariffs and products beside them are found from there.
RUN mkdir gen \
 && find proto -name '*.proto' -print0 | sort -z \
    | xargs -0 /tools/bin/python -m grpc_tools.protoc -I proto --python_out=gen --grpc_python_out=gen \
 && find gen/onecard -type d -exec touch {}/__init__.py \; \
 && site="$(/opt/onecard/bin/python -c 'import site; print(site.getsitepackages()[0])')" \
 && mkdir /tmp/metadata && printf '/srv/onecard\n/srv/onecard/gen\n' > "$site/onecard.pth" \
 && /tools/bin/python -c 'import sys; from setuptools import build_meta as b; b.prepare_metadata_for_build_wheel(sys.argv[1])' /tmp/metadata \
 && mv /tmp/metadata/*.dist-info "$site" \
 && printf '#!/opt/onecard/bin/python\nfrom cli.operating import app\n\napp()\n' > /opt/onecard/bin/onecard && chmod 755 /opt/onecard/bin/onecard \
 && rm -rf gen/onecard.egg-info proto README.md
# What is in it, for whoever asks later; other people's tests go; then bytecode that never looks at a time, and one time for everything.
RUN /tools/bin/cyclonedx-py environment --output-reproducible --of JSON --sv 1.6 -o /opt/onecard/sbom.cdx.json /opt/onecard/bin/python \
 && find /opt/onecard/lib -type d -name tests -prune -exec rm -rf {} + \
 && /opt/onecard/bin/python -m compileall -q -j 1 --invalidation-mode unchecked-hash /opt/onecard/lib /srv/onecard \
 && chmod -R u=rwX,go=rX /opt/onecard /srv/onecard \
 && install -d -m 0700 -o 10001 -g 10001 /var/lib/onecard /var/lib/onecard/{vault,checkpoints,simulation} /run/onecard/chips \
 && find /opt/onecard /srv/onecard /var/lib/onecard /run/onecard -exec touch -h -d "@${SOURCE_DATE_EPOCH}" {} +

FROM ${PYTHON}
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="onecard" \
      org.opencontainers.image.description="The payment platform behind a city's social security card" \
      org.opencontainers.image.version="${VERSION}"
# Whoever got in finds nothing to install with.
RUN rm -rf /usr/local/lib/python3*/site-packages/pip /usr/local/lib/python3*/site-packages/pip-* /usr/local/lib/python3*/ensurepip \
    /usr/local/bin/pip /usr/local/bin/pip3*
COPY --from=build /opt/onecard /opt/onecard
COPY --from=build /srv/onecard /srv/onecard
# What lies in a folder keeps its owner here, the folder itself does not: volumes are laid on those within.
COPY --from=build /var/lib/onecard /var/lib/onecard
COPY --from=build /run/onecard /run/onecard
ENV PATH=/opt/onecard/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp
WORKDIR /srv/onecard
# By its number: a cluster that refuses root looks at nothing else.
USER 10001:10001
CMD ["python", "-m", "services.payments", "--help"]
