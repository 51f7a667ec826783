"""How rows come in: read within limits, checked against a schema, committed to."""
