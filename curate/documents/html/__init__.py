"""HTML pages to blocks of text and images in reading order."""
