"""Files: written whole or not at all, by one writer at a time, under names that are names on every system.

Every file that zero3d or a plug-in leaves on a disk is written through here.
"""

from zero3d.files.whole import LEFTOVER, beside, cannot_write, remove_leftovers, replacing, write_bytes, write_text

__all__ = [
    "LEFTOVER",
    "beside",
    "cannot_write",
    "remove_leftovers",
    "replacing",
    "write_bytes",
    "write_text",
]
