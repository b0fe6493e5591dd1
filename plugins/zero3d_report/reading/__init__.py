"""What a run's folder says: facts for a page, and models for its viewer."""
