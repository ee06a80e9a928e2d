"""CSV files: sniffing, splits that respect quotes, exact reading."""
