"""What must hold of whole runs of models that cut pictures into tiles or windows: packing changes no loss, and they learn."""

import pytest

from tests.train.tiny_processors import tiny_processor
from tests.train.tiny_runs import curve_of, rows_of, save_tiny_model, tiny_config
from train.loop import train as trained

LOAD = {"batch": 1000, "epochs": 1}
"""One step that holds the whole plan, so that rows of any make hold the same samples; its update shows in the validation."""

KINDS = {"packed": {}, "alone": {"packing": False, "micro_batch": 6}}


@pytest.mark.parametrize("name", ["idefics", "next", "qwen25"])
def test_a_stage_learns_the_same_packed_and_unpacked(tmp_path, episodes_plan, name):
    place = save_tiny_model(tmp_path / "model", name, tiny_processor(name))
    validation = {"plan": episodes_plan.folder.uri, "samples": 24}
    for kind, load in KINDS.items():
        data = {"max_tokens": 1600, "load": LOAD | load}
        trained(tiny_config(place, episodes_plan, tmp_path / kind, data=data, validation=validation))
    packed, alone = ([curve_of(tmp_path / kind, rows)[1] for rows in ("train", "validation")] for kind in KINDS)
    assert packed == pytest.approx(alone, rel=1e-5)
    assert packed[1] < 0.98 * packed[0]
    tokens, others = (rows_of(tmp_path / kind)[-1]["tokens"] for kind in KINDS)
    assert tokens == others > 0
