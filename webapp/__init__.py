"""The web application. The engine and its command line need nothing of it."""
