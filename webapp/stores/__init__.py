"""What the app keeps: one store a kind of record. Records are frozen; addresses in them are plain, callers mask."""
