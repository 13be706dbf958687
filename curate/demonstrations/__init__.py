"""Documents and captioned or instruction sets to Demonstrations: alignment and importers."""
