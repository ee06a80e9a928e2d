# App and runner in one image: `kalla serve`, `kalla runner`.
FROM python:3.11.14-slim-bookworm
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
