"""From noise to points."""
