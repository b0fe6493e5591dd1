"""What is shown of many runs: tables, the gallery of a batch, the comparison of a sweep."""
