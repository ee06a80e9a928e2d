# App, runner and Python workers in one image: `kalla serve`, `kalla runner`, `kalla worker`. Target `cluster` adds Java
# and the jars, for the parts of a Flink or Spark cluster: `kalla cluster part`.
FROM python:3.11.14-slim-bookworm AS app
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /opt/kalla
COPY requirements.lock setup.py pyproject.toml README.md LICENSE ./
RUN pip install -c requirements.lock setuptools wheel
COPY recipe recipe
COPY udfs udfs
COPY connectors connectors
COPY pipelines pipelines
COPY webapp webapp
COPY docs/sample /srv/kalla/sample
RUN pip install -c requirements.lock --no-build-isolation ".[all]" \
    && useradd --create-home --uid 10001 kalla \
    && install -d -o kalla -g kalla /srv/kalla/data
USER kalla
WORKDIR /srv/kalla
ENV STAGING_PATH=/srv/kalla/data BIND_HOST=0.0.0.0 KALLA_LOCAL_ROOTS=/srv/kalla/sample
EXPOSE 3000 8080
CMD ["kalla", "serve"]

FROM maven:3.9.11-eclipse-temurin-17 AS java
COPY udfs/java /build
RUN KALLA_JARS=/opt/kalla-java /build/build -pl flink,spark -am

FROM app AS cluster
USER root
RUN apt-get update \
    && apt-get install -y --no-install-recommends openjdk-17-jre-headless \
    && rm -rf /var/lib/apt/lists/*
COPY --from=java /opt/kalla-java /opt/kalla-java
ENV KALLA_JARS=/opt/kalla-java
USER kalla

# What is built unless a target is named.
FROM app
