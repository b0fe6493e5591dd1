"""MCC's networks, by their published tensor names."""
