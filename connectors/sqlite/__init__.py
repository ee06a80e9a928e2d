"""Tables and views of SQLite database files."""
