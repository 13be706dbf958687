"""Shotcraft's data library: web documents and captioned images in, verified ICL episodes out."""

__version__ = "0.1.0"
