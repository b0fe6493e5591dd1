"""Pictures that a teacher draws whole, which the field is then fitted to."""
