"""Where weights come from: a folder or hub id in diffusers' layout, or one checkpoint file; and what family they are
of."""
