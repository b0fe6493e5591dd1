"""RTMV: ray-traced scenes in EXR and JSON, and Zero-1-to-3's own copy of them."""
