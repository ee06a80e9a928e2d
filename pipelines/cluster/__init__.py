"""Flink and Spark as plain processes, and the pool of Python workers beside them.

``commands`` says how each process is started, for this machine and for containers alike; ``local`` starts a whole
cluster here; ``worker_pool`` is what runs our steps on every machine of a cluster, whoever started that.
"""
