"""A small source of every kind that the main job takes: pages with pictures, and captioned class folders."""

from pathlib import Path

from tests.pipelines.drawing import draw

CLASSES = ("red circle", "blue square", "green triangle", "yellow star", "black cross", "orange ring")
PER_CLASS = 9

PAGE = """<html lang="en"><head><title>About the {name}</title></head><body><nav><a href="x.html">Home</a></nav>
<h1>The {name}</h1><p>On this page we talk about the {name}, which is one of the shapes that children learn to draw
and to name before they can read, and of which you can see a picture here.</p>
<figure><img src="{name}-{number}.png" alt="a {name} on a plain ground">
<figcaption>This is a {name} number {number}.</figcaption></figure>
<p>The picture of the {name} has been drawn by a program with a seed, so that it is the same each time.</p></body></html>"""


def write_source(root: Path) -> Path:
    """Writes pages/ and stamps/ below root, and a configuration; returns its path."""
    for index, name in enumerate(CLASSES):
        folder = root / "stamps" / name.replace(" ", "_")
        folder.mkdir(parents=True)
        for number in range(PER_CLASS):
            (folder / f"{number}.png").write_bytes(draw(index, index * 100 + number))
            (folder / f"{number}.txt").write_text(f"A {name} drawn as number {number}.\n")
        _write_page(root / "pages", index, name)
    return _write_config(root)


def _write_page(folder: Path, index: int, name: str) -> None:
    folder.mkdir(exist_ok=True)
    for number in range(3):
        (folder / f"{name}-{number}.png").write_bytes(draw(index, 1000 + index * 100 + number))
        (folder / f"{name}-{number}.html").write_text(PAGE.format(name=name, number=number))


def _write_config(root: Path) -> Path:
    path = root / "config.yaml"
    path.write_text(
        f"""
sources:
  - {{name: pages, kind: pages, path: "{root}/pages", preset: manual, settings: {{pages_per_part: 4}}}}
  - {{name: captions, kind: captions, path: "{root}/stamps", settings: {{chunk: 10}}}}
  - {{name: classes, kind: classes, path: "{root}/stamps", settings: {{chunk: 10}}}}
embed: {{image_space: tower}}
episodes: {{partition: 24}}
shards: {{max_mb: 1}}
"""
    )
    return path
