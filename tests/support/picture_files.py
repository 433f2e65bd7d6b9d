"""Picture files of the kinds that phones, cameras and scanners write, made here."""

import base64
import io
import struct

import numpy as np
from PIL import Image

H, W = 24, 40


def noise(height: int = H, width: int = W) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def gradient(height: int = H, width: int = W) -> np.ndarray:
    """Return a picture in which every row, column and channel differs, smoothly."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 / width, y * 255 / height, 255 - 127 * (x / width + y / height)], axis=-1).astype(np.uint8)


def encode(image: Image.Image | np.ndarray, form: str, **options) -> bytes:
    file = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(file, form, **options)
    return file.getvalue()


# names of formats -> Pillow's name and options
LOSSLESS = {
    "png": ("PNG", {}),
    "bmp": ("BMP", {}),
    "tiff": ("TIFF", {}),
    "tiff deflate": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    "webp": ("WEBP", {"lossless": True}),
    "ppm": ("PPM", {}),
    "jpeg2000": ("JPEG2000", {}),
}
LOSSY = {
    "jpeg": ("JPEG", {"quality": 95}),
    "jpeg progressive": ("JPEG", {"quality": 95, "progressive": True}),
    "webp lossy": ("WEBP", {"quality": 95}),
    "avif": ("AVIF", {"quality": 95}),
}

Tags = dict[int, tuple[str, tuple | bytes]]  # number -> (struct code, values); of `bytes` the tag holds the place


def tiff_file(directories: list[Tags], below: int | None = None, pixels: bytes = b"") -> bytes:
    """Return a TIFF with these directories, and pixels at byte 8.

    `below`: the number of the directory that the first one names as its sub-directory.
    """
    types = {"B": 1, "H": 3, "I": 4, "d": 12}
    places, out = [], bytearray(b"II*\0\0\0\0\0" + pixels)
    for tags in reversed(directories):  # the first one is written last, and knows where the others are
        entries = []
        if below is not None and tags is directories[0]:
            tags = tags | {330: ("I", (places[len(directories) - 1 - below],))}
        for tag, (code, values) in sorted(tags.items()):
            if isinstance(values, bytes):
                values, place = (len(out),), out.extend(values)
            packed = struct.pack(f"<{len(values)}{code}", *values)
            if len(packed) > 4:
                place = len(out)
                out += packed
                packed = struct.pack("<I", place)
            entries.append(struct.pack("<HHI", tag, types[code], len(values)) + packed.ljust(4, b"\0"))
        out += b"\0" * (len(out) % 2)
        places.append(len(out))
        follows = places[-2] if below is None and len(places) > 1 else 0
        out += struct.pack("<H", len(entries)) + b"".join(entries) + struct.pack("<I", follows)
    out[4:8] = struct.pack("<I", places[-1])
    return bytes(out)


def raw_file(photo: bytes | None, orientation: int = 1, dng: bool = True) -> bytes:
    """Return a camera's raw file: a thumbnail of 160×120, and below it the sensor's values and perhaps a JPEG."""
    thumbnail = bytes(160 * 120 * 3)
    first = {254: ("I", (1,)), 256: ("I", (160,)), 257: ("I", (120,)), 258: ("H", (8, 8, 8)), 259: ("H", (1,))}
    first |= {262: ("H", (2,)), 273: ("I", thumbnail), 274: ("H", (orientation,)), 277: ("H", (3,))}
    first |= {278: ("I", (120,)), 279: ("I", (len(thumbnail),))}
    if dng:
        first |= {50706: ("B", (1, 4, 0, 0))}
    sensor = bytes(64 * 48 * 2)
    second = {254: ("I", (0,)), 256: ("I", (1280,)), 257: ("I", (960,)), 258: ("H", (16,)), 259: ("H", (1,))}
    second |= {262: ("H", (32803,)), 273: ("I", sensor), 277: ("H", (1,)), 279: ("I", (len(sensor),))}
    if photo:
        second |= {513: ("I", photo), 514: ("I", (len(photo),))}
    return tiff_file([first, second], below=1)


# 64×64 pixels of a gradient, made with libheif: no package here encodes HEIF.
HEIC = base64.b85decode(
    "0000SW^{RQXk}?*00000ZE0pPXk}?*ZE0a<00042ZDn*}000000000XXk=`10000000000aA{+700000000000000000000B57=I"
    "V*mgE07O6l0RRC200001dH?|c00000005o<001LtX>Mi!000000RR916=`l}WdZ;I000310BCk&F#rGn01j|zbZr0t000010002i"
    "X>f9I0002DX>en20001ZXm(>m0RwOV0058x000009`FGC{rLC*01pFT0096PKmiN^|NjGU00093kN^M!000939=ZZRVE_RDD?$MQ"
    "18@KU0|1Z!00RI30{|YNAb|yz>PacCZUPz%2mk;B0LTCU0{{p>VgLaE2SfqEa<C#m0000JV{dG7ZewhC0096E00w{n000zeb8uw<"
    "00000002M$002M$000nhX?SS>000032nYxO000+haBX1#00000000310R({p0|Wp70H$qZVRQfh0GcQPuL<Dl#(=J-N%0@BLCEC("
    "gEU)SIX|I&>8=hiGvF7frxg-QZSNV;nncQ@YvPs#w}n#)hS$Z?(2+mvyG83=+i~}sh6bO{vMmkgl^X{|z=VTK<7S-PXY@vnOy<|B"
    "#@}qaa$x^c(#OIan{aWKp83Bxl@4fcUdS9)PMk3`?`vqO1;IG{42FZP<lpMK^Ih0q+5WTq"
)
