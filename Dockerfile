# The image: a virtual environment from hashed locks, on slim Python, for a numeric user.
# docker build -t header-sidecar:0.1.0 .
# The build's base is the same Python with a C compiler: what every request passes through is compiled.
FROM python:3.13-bookworm AS build
ARG COMPILE_SIDECAR=1
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src

# Dependencies first: this layer stays until the lock changes. No environment gets a pip of its own.
COPY requirements.lock requirements-build.lock ./
RUN python -m venv --without-pip /opt/sidecar \
    && pip --python /opt/sidecar/bin/python install --no-compile --require-hashes --only-binary :all: -r requirements.lock
RUN python -m venv --without-pip /opt/build \
    && pip --python /opt/build/bin/python install --no-compile --require-hashes --only-binary :all: -r requirements-build.lock -r requirements.lock

COPY pyproject.toml README.md LICENSE ./
COPY deploy/compile.py deploy/compile.py
COPY sidecar sidecar
RUN pip --python /opt/build/bin/python wheel --no-deps --no-build-isolation --wheel-dir /opt/wheel . \
    && pip --python /opt/sidecar/bin/python install --no-compile --no-deps --no-index /opt/wheel/*.whl \
    && /opt/sidecar/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/sidecar/lib \
    && mkdir /opt/state

FROM python:3.13-slim-bookworm
LABEL org.opencontainers.image.title="header-sidecar" \
      org.opencontainers.image.description="Judges, rewrites and reports security headers in front of one service" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://github.com/header-sidecar/header-sidecar"
COPY --from=build /opt/sidecar /opt/sidecar
COPY --from=build --chown=10001:10001 /opt/state /var/lib/sidecar

# What differs from the defaults because this is a container. Admin stays on loopback: `docker exec NAME sidecar status`.
ENV PATH=/opt/sidecar/bin:$PATH \
    SIDECAR_LISTEN=0.0.0.0:18000 \
    SIDECAR_HEALTH=0.0.0.0:19001 \
    SIDECAR_POLICY=/etc/sidecar/policy.yaml \
    SIDECAR_STATE=/var/lib/sidecar
VOLUME /var/lib/sidecar
EXPOSE 18000 19001
USER 10001:10001
HEALTHCHECK --interval=15s --timeout=3s --start-period=10s CMD ["sidecar", "health"]
ENTRYPOINT ["sidecar"]
CMD ["run"]
