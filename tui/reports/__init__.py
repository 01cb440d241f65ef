"""Sessions as documents, tables, transcripts and terminal recordings."""
