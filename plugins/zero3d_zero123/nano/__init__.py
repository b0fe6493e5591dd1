"""nano: our own small Zero-1-to-3, embedded in the package."""
