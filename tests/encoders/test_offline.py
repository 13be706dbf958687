"""The embedded encoder works without a network and tells simple pictures and photos apart."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL.Image import Image as Picture

from curate.drawings import Renderer
from curate.encoders import load_encoder
from curate.encoders.offline import HEAD_FILE, PREPROCESS
from curate.encoders.openclip import OpenClipEncoder
from curate.images import open_rgb

DRAWN = {
    "a red apple": """<circle cx="50" cy="56" r="34" fill="#d22"/>
        <path d="M50 24q4-14 14-16" stroke="#642" stroke-width="5" fill="none"/>
        <path d="M52 22q14-14 26-6q-10 12-26 6" fill="#3a3"/>""",
    "a house": """<rect x="22" y="46" width="56" height="42" fill="#eda"/>
        <path d="M14 48L50 14L86 48z" fill="#b33"/><rect x="44" y="62" width="14" height="26" fill="#753"/>
        <rect x="27" y="54" width="12" height="12" fill="#8cf"/>""",
    "a fish": """<ellipse cx="44" cy="50" rx="32" ry="20" fill="#f90"/><path d="M70 50L94 32V68z" fill="#f70"/>
        <circle cx="26" cy="45" r="4"/><path d="M44 32q10-16 20 2z" fill="#f70"/>""",
    "the sun": """<circle cx="50" cy="50" r="22" fill="#fc0"/><path stroke="#fc0" stroke-width="6"
        d="M50 6V20M50 80V94M6 50H20M80 50H94M19 19L29 29M71 71L81 81M81 19L71 29M29 71L19 81"/>""",
    "a snowman": """<rect width="100" height="100" fill="#9cf"/><circle cx="50" cy="70" r="24" fill="#fff"/>
        <circle cx="50" cy="34" r="16" fill="#fff"/><circle cx="45" cy="31" r="2"/><circle cx="55" cy="31" r="2"/>
        <path d="M50 36L64 39L50 40z" fill="#f80"/><rect x="38" y="8" width="24" height="12"/>""",
    "a traffic light": """<rect x="34" y="6" width="32" height="86" rx="6" fill="#222"/>
        <circle cx="50" cy="22" r="11" fill="#e22"/><circle cx="50" cy="49" r="11" fill="#ec2"/>
        <circle cx="50" cy="76" r="11" fill="#2b2"/>""",
    "an umbrella": """<path d="M8 52a42 40 0 0 1 84 0q-14-10-28 0q-14-10-28 0q-14-10-28 0z" fill="#83c"/>
        <path d="M50 14V84q0 8 8 8q8 0 8-8" stroke="#555" stroke-width="4" fill="none"/>""",
    "a clock": """<circle cx="50" cy="50" r="42" fill="#fff" stroke="#333" stroke-width="6"/>
        <path d="M50 50V20M50 50L70 60M50 12V18M50 82V88M12 50H18M82 50H88" stroke="#333" stroke-width="5"/>""",
}


@cache
def drawings() -> list[Picture]:
    renderer = Renderer(224)
    frame = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100" width="100" height="100">{}</svg>'
    pictures = [open_rgb(renderer.render(frame.format(drawn).encode())) for drawn in DRAWN.values()]
    renderer.close()
    return pictures


def test_head_is_small() -> None:
    assert HEAD_FILE.stat().st_size <= 8_000_000


def test_drawings_find_their_captions_and_captions_their_drawings(offline: OpenClipEncoder) -> None:
    similarity = offline.encode_images(drawings()) @ offline.encode_texts(list(DRAWN)).T
    own = np.arange(len(DRAWN))
    assert (similarity.argmax(1) == own).sum() >= 6
    assert (similarity.argmax(0) == own).sum() >= 6


def test_it_is_an_unmodified_open_clip_model_with_its_own_preprocessing(offline: OpenClipEncoder) -> None:
    import torch
    from open_clip.model import CustomTextCLIP
    from open_clip.transform import PreprocessCfg, image_transform_v2

    model, transform = offline._model, image_transform_v2(PreprocessCfg(**PREPROCESS), is_train=False)
    assert type(model) is CustomTextCLIP
    with torch.no_grad():
        expected = model.encode_image(torch.stack([transform(picture) for picture in drawings()]), normalize=True)
    np.testing.assert_allclose(offline.encode_images(drawings()), expected.numpy(), atol=1e-4)


def test_image_tower_is_the_wheels_classifier() -> None:
    import timm
    import torch

    from curate.encoders.wheels import TIMM_NAME, image_tower_state

    model = timm.create_model(TIMM_NAME, pretrained=False)
    model.load_state_dict(image_tower_state(), strict=True)
    with torch.no_grad():
        logits = model.eval()(torch.zeros(1, 3, 224, 224))
    assert logits.shape == (1, 1000)


def test_text_vectors_do_not_depend_on_their_neighbours(offline: OpenClipEncoder) -> None:
    texts = ["a dog", "größe 犬 🐶 \u202e", "", "a very long text " * 100, "cat"]
    together = offline.encode_texts(texts).astype(np.float16)
    for i, text in enumerate(texts):
        np.testing.assert_array_equal(offline.encode_texts([text]).astype(np.float16)[0], together[i])
    np.testing.assert_allclose(np.linalg.norm(together.astype(np.float32), axis=1), 1, atol=2e-3)


def test_tower_space_gives_the_towers_own_features(offline: OpenClipEncoder) -> None:
    tower = load_encoder("offline", image_space="tower", device="cpu")
    assert (tower.dim, tower.text_dim) == (1280, offline.text_dim)
    np.testing.assert_allclose(np.linalg.norm(tower.encode_images(drawings()[:2]), axis=1), 1, atol=1e-5)


NO_NETWORK = """
import socket
def refuse(*_, **__): raise SystemExit("asked the network")
socket.socket.connect = socket.getaddrinfo = refuse
from curate.encoders import load_encoder
print(load_encoder("offline", device="cpu").encode_texts(["a dog"]).shape)
"""


def test_it_never_asks_the_network(tmp_path: Path) -> None:
    here = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", NO_NETWORK], env=here, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-500:]
    assert "(1, 1024)" in done.stdout


@pytest.mark.samples
def test_photos_find_their_captions_as_well_as_published(offline: OpenClipEncoder) -> None:
    from curate.encoders.training.evaluate import Task
    from curate.encoders.training.features import open_picture
    from curate.encoders.training.sources import is_photo, tuxpaint
    from curate.sources import path_of

    folder = path_of("tuxpaint-stamps-default")
    if folder is None:
        pytest.skip("run `curate samples fetch tuxpaint-stamps-default` first")
    task = Task.of([pair for pair in tuxpaint(folder.parent) if is_photo(pair)][::8])
    vectors = offline.encode_images([open_picture(pair.path) for pair in task.pairs])
    score = task.score(vectors, offline.encode_texts(task.captions))
    assert score[0] > 25
    assert score[3] > 25
