"""A run's folder: made only when everything is checked, held by one process at a time, readable by people, movable."""

from zero3d.folder.claim import check_out, claimed, clear, create, save_picture, write_recipe
from zero3d.folder.exported import REPORT, exported_files, exported_labels, exported_mesh
from zero3d.folder.layout import (
    CHECKPOINT,
    MANIFEST,
    METRICS,
    PICTURE,
    RECIPE,
    is_whole,
    open_run,
    picture_name,
    read_manifest,
    stage_folders,
    whole_run,
)
from zero3d.folder.manifest import file_hashes, file_sha256, made_otherwise, make_manifest, other_version
from zero3d.folder.metrics import MetricsLog, logged_seconds, read_metrics

__all__ = [
    "CHECKPOINT",
    "MANIFEST",
    "METRICS",
    "MetricsLog",
    "PICTURE",
    "RECIPE",
    "REPORT",
    "check_out",
    "claimed",
    "clear",
    "create",
    "exported_files",
    "exported_labels",
    "exported_mesh",
    "file_hashes",
    "file_sha256",
    "is_whole",
    "logged_seconds",
    "make_manifest",
    "made_otherwise",
    "open_run",
    "other_version",
    "picture_name",
    "read_manifest",
    "read_metrics",
    "save_picture",
    "stage_folders",
    "whole_run",
    "write_recipe",
]
