"""Versioned changes of the app database. A new one is a module in ``versions`` that names its predecessor."""
