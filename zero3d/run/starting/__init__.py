"""How a run begins, anew or where it stopped: checked, planned, in a folder of its own."""
