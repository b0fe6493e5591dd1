"""`zero3d recipes`: which recipes there are, what each needs, and whether it is here."""
