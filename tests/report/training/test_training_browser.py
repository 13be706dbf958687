"""The page of training runs in a browser: nothing is fetched, nothing complains, no width makes it scroll sideways."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from curate.report.training import write_training_page

pytestmark = pytest.mark.browser


@pytest.fixture
def pages(tmp_path: Path) -> list[Path]:
    """Of one run and of two."""
    places = []
    for name in ("icl", "a-rather-long-name-of-a-run"):
        (tmp_path / name).mkdir()
        with (tmp_path / name / "metrics.jsonl").open("w") as log:
            for step in range(1, 80):
                losses = {"format": {f: {"loss": 2 + math.exp(-step / 9), "tokens": 5} for f in ("caption", "open_qa")}}
                rates = {"all": 10.0 * step, "real": 9.0 * step, "supervised": 1.0}
                row = {"step": step, "kind": "train", "loss": 2.0, "losses": losses, "tokens_per_s": rates, "grad_norm": step}
                log.write(json.dumps(row) + "\n")
        places.append(str(tmp_path / name))
    return [write_training_page(places[:1]), write_training_page(places, tmp_path / "both.html")]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_no_width_makes_the_page_scroll_sideways(chromium: Any, pages: list[Path], width: int, scheme: str) -> None:
    media = [{"name": "prefers-color-scheme", "value": scheme}]
    chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": media})
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
    chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    for path in pages:
        chromium.get("about:blank")
        chromium.get_log("browser")
        chromium.get(path.as_uri())
        chromium.execute_script("for (const d of document.querySelectorAll('details')) d.open = true")
        assert chromium.execute_script("return document.documentElement.scrollWidth") <= width
        assert chromium.get_log("browser") == []
        drawn = chromium.execute_script(
            "return [...document.querySelectorAll('svg.lines polyline')].map(e => getComputedStyle(e).stroke)"
        )
        assert drawn
        assert "none" not in drawn
