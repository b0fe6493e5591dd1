"""Where each pixel's point lies: from files of depths or points, or by a model of depth."""
