"""Terms on the samples along each ray."""
