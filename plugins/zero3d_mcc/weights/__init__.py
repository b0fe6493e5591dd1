"""Published weights: what they are called, where they are, reading and converting them."""
