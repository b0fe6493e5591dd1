"""A program: a HEIC file on stdin; on stdout its count of pictures, the main one's size, and that as PNG.

Damaged files crash libheif, so that no exception tells of them.
"""

import io
import sys


def main() -> int:
    """The argument is how many pixels are decoded; of more, only the first line is written. Exit code 1: unreadable."""
    import pi_heif
    from PIL import Image

    pi_heif.register_heif_opener(thumbnails=False)
    Image.MAX_IMAGE_PIXELS = None  # the argument is the limit
    try:
        with Image.open(io.BytesIO(sys.stdin.buffer.read()), formats=["HEIF"]) as picture:
            width, height = picture.size
            sys.stdout.buffer.write(f"{getattr(picture, 'n_frames', 1)} {width} {height}\n".encode())
            if width * height <= int(sys.argv[1]):
                picture.save(sys.stdout.buffer, "PNG", compress_level=1)
    except Exception:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
