"""Pictures that were sent, and their masks: found as a run finds them, painted over by hand."""

from __future__ import annotations

import io
import secrets
import threading
import warnings
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy
from PIL import Image

from zero3d.errors import PictureError, UserError
from zero3d.files import replacing, write_bytes
from zero3d.interfaces import ImageSource, SourcePicture
from zero3d.recipe import file_source
from zero3d.registry import Registry

PNG = b"\x89PNG\r\n\x1a\n"
SIGNATURES = (PNG, b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"BM", b"II*\0", b"MM\0*")
"""What files of the kinds begin with that cameras and browsers write. Others have more decoders than visitors need."""
FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "AVIF", "GIF", "BMP", "TIFF")
KEPT = 40
"""Pictures; the oldest one goes that no run waits for."""


@dataclass
class Upload:
    """`name`: for people. `notes`: of whoever found the mask. `found`: whether there is one. `version`: how often it was
    painted."""

    ident: str
    name: str
    width: int
    height: int
    notes: list[str]
    found: bool
    version: int = 0


class Pictures:
    """A folder of them: ID.png (its colours), ID.mask.png (as found, 8-bit grey) and ID.VERSION.rgba.png, which a run reads
    with `input.mask=alpha`: a mask painted later is another file, so that a run that waits has the one it was started
    with. One is decoded at a time, which bounds the memory."""

    def __init__(self, folder: Path, registry: Registry, most_pixels: int) -> None:
        self._folder, self._most = folder, most_pixels
        self._registry = registry
        self._lock = threading.Lock()
        self._known: dict[str, Upload] = {}

    def add(self, data: bytes, name: str, used: Collection[Path] = ()) -> Upload:
        """A picture file's bytes. `used`: files that runs wait for.

        Raises:
            PictureError: no picture, or one that is too large, too small or damaged; the line says `name`.
        """
        title = "".join(c for c in name if c.isprintable())[-80:].strip() or "the picture"
        if not (data.startswith(SIGNATURES) or data[4:8] == b"ftyp" or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")):
            raise PictureError(f"{title}: no PNG, JPEG, WebP, AVIF, HEIC, GIF, BMP or TIFF picture; save it as PNG")
        ident = secrets.token_hex(8)
        file = self._folder / f"{ident}.upload"
        with self._lock:
            try:
                size = self._size(data, title)
                write_bytes(file, data)
                source, found = self._masked(file, size)
                upload = Upload(ident, title, source.rgba.shape[1], source.rgba.shape[0], list(source.notes), found)
                self._save(Image.fromarray(source.rgba[..., :3], "RGB"), self.colours(ident))
                self._save(Image.fromarray(source.rgba[..., 3] * numpy.uint8(found), "L"), self.mask(ident))
                if found:
                    self._save(Image.fromarray(source.rgba, "RGBA"), self._rgba(ident, 0))
            except UserError as error:
                raise PictureError(str(error).replace(str(file), title).removeprefix("image: ")) from None
            finally:
                for left in (file, file.with_suffix(".white")):
                    left.unlink(missing_ok=True)
            self._known[ident] = upload
            self._forget(used)
        return upload

    def paint(self, ident: str, data: bytes, used: Collection[Path] = ()) -> Upload:
        """Give what a run reads another mask: a PNG as large as the picture, its alpha, or white on the object.

        `used`: as in `add`.

        Raises:
            KeyError: no such picture.
            PictureError: no PNG, of another size, or with nothing in it.
        """
        upload = self._known[ident]
        if not data.startswith(PNG):
            raise PictureError("mask: no PNG")
        file = self._folder / f"{ident}.painted"
        with self._lock:
            try:
                if self._size(data, "mask") != (upload.width, upload.height):
                    raise PictureError(f"mask: not as large as the picture, {upload.width}x{upload.height}")
                write_bytes(file, data)
                source = self._read(self.colours(ident), str(file))
                kept = {self.rgba(ident), *used}  # of who asks in this instant, and of those that wait
                self._save(Image.fromarray(source.rgba, "RGBA"), self._rgba(ident, upload.version + 1))
            except UserError as error:
                message = (
                    str(error).replace(str(file), "the painted one").replace(str(self.colours(ident)), upload.name)
                )
                raise PictureError(message.replace("input.mask: ", "mask: ")) from None
            finally:
                file.unlink(missing_ok=True)
            upload.notes, upload.found, upload.version = list(source.notes), True, upload.version + 1
            for former in set(self._folder.glob(f"{ident}.*.rgba.png")) - {*kept, self.rgba(ident)}:
                former.unlink(missing_ok=True)
        return upload

    def get(self, ident: str) -> Upload:
        """Raises KeyError: no such picture."""
        return self._known[ident]

    def colours(self, ident: str) -> Path:
        return self._folder / f"{ident}.png"

    def mask(self, ident: str) -> Path:
        return self._folder / f"{ident}.mask.png"

    def rgba(self, ident: str) -> Path:
        """With the mask that was painted last. Raises KeyError: no such picture."""
        return self._rgba(ident, self._known[ident].version)

    def _rgba(self, ident: str, version: int) -> Path:
        return self._folder / f"{ident}.{version}.rgba.png"

    def _masked(self, file: Path, size: tuple[int, int] | None) -> tuple[SourcePicture, bool]:
        """The picture as a run would take it; where no object is found, to be painted, all of it and False."""
        try:
            return self._read(file, None), True
        except PictureError as error:
            if size is None:
                raise
            white = file.with_suffix(".white")
            self._save(Image.new("L", size, 255), white)
            try:
                whole = self._read(file, str(white))
            except PictureError:
                raise error from None
            reason = str(error).replace(str(file), "the picture").removeprefix("image: ").partition("; ")[0]
            return SourcePicture(whole.rgba, (f"{reason}; paint over the object",), whole.origin), False

    def _read(self, file: Path, mask: str | None) -> SourcePicture:
        finder = self._registry.get("image_source", file_source(self._registry), "image")
        source = finder(finder.Config(path=str(file)))  # type: ignore[call-arg]
        assert isinstance(source, ImageSource)
        return source.read(mask)

    def _size(self, data: bytes, title: str) -> tuple[int, int] | None:
        """Width and height, upright, by the file's head alone; None where only its decoder knows.

        Raises:
            PictureError: more pixels than are taken here.
        """
        try:
            Image.init()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of bombs: our own limit follows
                formats = [name for name in FORMATS if name in Image.OPEN]
                with Image.open(io.BytesIO(data), formats=formats) as picture:
                    width, height = picture.size
                    turned = picture.getexif().get(0x0112, 1) in (5, 6, 7, 8)
        except Image.DecompressionBombError:
            raise PictureError(f"{title}: over {self._most / 1e6:g} megapixels; shrink it") from None
        except Exception:  # whatever a damaged file makes of a decoder; the reading below says it
            return None
        if width * height > self._most:
            raise PictureError(f"{title}: over {self._most / 1e6:g} megapixels; shrink it")
        return (height, width) if turned else (width, height)

    def _save(self, picture: Image.Image, path: Path) -> None:
        with replacing(path) as temporary:
            picture.save(temporary, format="PNG", compress_level=1)

    def _forget(self, used: Collection[Path]) -> None:
        held = {path.name.partition(".")[0] for path in used}
        for ident in [one for one in self._known if one not in held][: max(0, len(self._known) - KEPT)]:
            del self._known[ident]
            for path in self._folder.glob(f"{ident}.*"):
                path.unlink(missing_ok=True)
