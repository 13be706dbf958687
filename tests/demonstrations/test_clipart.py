"""Drawings with titles of their own: the work's title counts, and nobody else's."""

from typing import Any

import pytest

from curate.demonstrations.importers.clipart import words_in
from curate.images import BadImage

DRAWING = """<?xml version="1.0"?>
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 72 72"><metadata>
<rdf:RDF xmlns="http://web.resource.org/cc/" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><Work rdf:about="">
<dc:creator><Agent><dc:title>A. Painter</dc:title></Agent></dc:creator>
{title}<dc:subject><rdf:Bag><rdf:li>hash</rdf:li><rdf:li>sea_animal</rdf:li><rdf:li/></rdf:Bag></dc:subject>
<dc:publisher><Agent><dc:title>A Library</dc:title></Agent></dc:publisher></Work></rdf:RDF></metadata>
<title>not this</title><circle cx="30" cy="30" r="20" fill="blue"/></svg>"""
TITLED = DRAWING.format(title="<dc:title> Big_blue\n dolphin &amp; calf</dc:title>")


def test_the_title_is_the_caption_and_folders_are_concepts(lay: Any, imported: Any) -> None:
    _, [one] = imported("clipart", lay({"animals/sea_life/a.svg": TITLED}))
    assert (one.answer, one.question, one.format, one.task) == ("Big blue dolphin & calf", "", "caption", "caption")
    assert one.concepts == ("sea life", "animals")
    assert one.images[0].width == 224


def test_keywords_can_be_concepts(lay: Any, imported: Any) -> None:
    _, [one] = imported("clipart", lay({"a.svg": TITLED}), concepts_from="keywords")
    assert one.concepts == ("hash", "sea animal")


def test_titles_that_say_nothing_are_dropped_and_missing_ones_rejected(lay: Any, imported: Any) -> None:
    theme = DRAWING.format(title="<dc:title>Lemon Theme</dc:title>")
    source = lay({"a.svg": TITLED, "b.svg": theme, "c.svg": DRAWING.format(title=""), "d.svg": "<svg", "e.png": "no drawing"})
    manifest, [one] = imported("clipart", source, boilerplate=["*theme*"])
    assert one.provenance.record == "a.svg"
    assert manifest.dropped == {"boilerplate": 1}
    assert manifest.rejected == {"no_caption": 1, "svg_corrupt": 1}


def test_hostile_xml_is_refused_before_its_metadata_is_read() -> None:
    bomb = '<!DOCTYPE svg [<!ENTITY a "&b;&b;"><!ENTITY b "ha">]><svg><metadata>&a;</metadata></svg>'
    with pytest.raises(BadImage, match="svg_entity"):
        words_in(bomb.encode())
    with pytest.raises(BadImage, match="svg_too_deep"):
        words_in(("<svg>" + "<g>" * 200 + "</g>" * 200 + "</svg>").encode())
