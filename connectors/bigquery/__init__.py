"""Tables of BigQuery: one snapshot time, read in the streams of one Storage Read session."""
