"""From the network's answers to a shape in the world."""
