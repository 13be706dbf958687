"""Designs: which mixes are tried. One kind a file, and a line that registers it."""
