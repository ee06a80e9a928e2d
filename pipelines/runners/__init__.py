"""Runs on Flink and Spark. ``choice`` decides where a run goes and says why; ``submit`` takes it there.

Without a cluster the same pipeline runs in the run's own process (``pipelines.process``).
"""
