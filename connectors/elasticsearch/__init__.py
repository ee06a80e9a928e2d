"""Indexes of Elasticsearch and OpenSearch: one point in time, read in ranges of sequence numbers.

Spoken to over plain HTTP: each product's own client refuses to talk to the other product.
"""

from __future__ import annotations

from connectors.registry import load_driver

load_driver("urllib3", "elasticsearch")  # the modules of this package import it plainly; its absence gets a pip line
