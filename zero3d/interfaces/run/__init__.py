"""What surrounds the steps of a run: what it reads and begins with, who watches it, what it writes, commands."""
