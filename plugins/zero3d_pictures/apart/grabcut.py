"""A program: H and W as arguments, RGB bytes on stdin; GrabCut's labels as bytes on stdout."""

import sys


def main() -> int:
    """Exit code 0 with labels, 1 where OpenCV gives up."""
    import cv2
    import numpy

    height, width = map(int, sys.argv[1:])
    rgb = numpy.frombuffer(sys.stdin.buffer.read(), numpy.uint8).reshape(height, width, 3)
    labels = numpy.zeros((height, width), numpy.uint8)
    inset = [max(1, side // 20) for side in (width, height)]
    rectangle = (*inset, width - 2 * inset[0], height - 2 * inset[1])
    cv2.setNumThreads(1)
    cv2.setRNGSeed(0)  # its clustering draws random numbers
    models = numpy.zeros((1, 65)), numpy.zeros((1, 65))
    try:
        cv2.grabCut(rgb[..., ::-1].copy(), labels, rectangle, *models, 5, cv2.GC_INIT_WITH_RECT)
    except cv2.error:
        return 1
    sys.stdout.buffer.write(labels.tobytes())
    return 0


if __name__ == "__main__":
    sys.exit(main())
