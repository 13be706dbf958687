"""One code path for all models: same preprocessing as open_clip, unit vectors, errors that say what to do."""

import pickle
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from curate.encoders import load_encoder
from curate.encoders.openclip import OpenClipEncoder
from curate.errors import ConfigError, InputError
from curate.images import open_rgb

Picture = Callable[..., bytes]


def test_preprocessing_is_open_clips_own(tiny: OpenClipEncoder, tiny_folder: Path, picture: Picture) -> None:
    import open_clip
    import torch

    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{tiny_folder}")
    shown = [open_rgb(picture(i, size=(90 + i, 300 - 50 * i))) for i in range(4)]
    with torch.no_grad():
        expected = model.eval().encode_image(torch.stack([transform(one) for one in shown]), normalize=True)
    np.testing.assert_allclose(tiny.encode_images(shown), expected.numpy(), atol=1e-5)


def test_texts_are_those_of_open_clip(tiny: OpenClipEncoder, tiny_folder: Path) -> None:
    import open_clip
    import torch

    model = open_clip.create_model(f"local-dir:{tiny_folder}").eval()
    texts = ["a dog", "", "words " * 200, "größe 犬 🐶 \u202e\x00"]
    with torch.no_grad():
        expected = model.encode_text(open_clip.get_tokenizer(f"local-dir:{tiny_folder}")(texts), normalize=True)
    np.testing.assert_allclose(tiny.encode_texts(texts), expected.numpy(), atol=1e-5)


def test_vectors_have_unit_length_and_nothing_gives_nothing(tiny: OpenClipEncoder, picture: Picture) -> None:
    vectors = tiny.encode_images([open_rgb(picture(i)) for i in range(35)])
    assert vectors.shape == (35, tiny.dim)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert tiny.encode_images([]).shape == (0, tiny.dim)
    assert tiny.encode_texts([]).shape == (0, tiny.text_dim)


def test_transparency_is_white_paper(tiny: OpenClipEncoder) -> None:
    clear, white = Pillow.new("RGBA", (60, 60), (0, 0, 0, 0)), Pillow.new("RGB", (60, 60), "white")
    for picture in (clear, white):
        picture.paste((200, 30, 40), (20, 20, 40, 40))
    np.testing.assert_array_equal(tiny.encode_images([clear]), tiny.encode_images([white]))


def test_tower_space_leaves_the_projection_out(tiny: OpenClipEncoder, tiny_folder: Path, picture: Picture) -> None:
    tower = load_encoder(f"open_clip:local-dir:{tiny_folder}", image_space="tower", device="cpu")
    assert (tower.dim, tower.text_dim, tiny.dim) == (32, 16, 16)
    assert tower.fingerprint != tiny.fingerprint
    assert tower.encode_images([open_rgb(picture(1))]).shape == (1, 32)


def test_fingerprint_is_that_of_the_weights(tiny: OpenClipEncoder, tiny_folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    again = load_encoder(f"open_clip:local-dir:{tiny_folder}", device="cpu")
    assert again.fingerprint == tiny.fingerprint
    state = load_file(tiny_folder / "open_clip_model.safetensors")
    state["visual.proj"][0, 0] += 0.5
    save_file(state, tmp_path / "open_clip_model.safetensors")
    (tmp_path / "open_clip_config.json").write_bytes((tiny_folder / "open_clip_config.json").read_bytes())
    assert load_encoder(f"open_clip:local-dir:{tmp_path}", device="cpu").fingerprint != tiny.fingerprint


@pytest.fixture
def registered(tmp_path: Path) -> str:
    """The tiny model under a name that open_clip knows."""
    import json

    import open_clip

    from .conftest import TINY

    config = tmp_path / "tiny-test.json"
    config.write_text(json.dumps(TINY))
    open_clip.add_model_config(config)
    return "tiny-test"


def test_a_local_checkpoint_of_a_named_model_loads(
    registered: str, tiny: OpenClipEncoder, tiny_folder: Path, tmp_path: Path
) -> None:
    import torch
    from safetensors.torch import load_file

    checkpoint = tmp_path / "epoch_1.pt"
    torch.save({"state_dict": load_file(tiny_folder / "open_clip_model.safetensors")}, checkpoint)
    encoder = load_encoder(f"open_clip:{registered}/{checkpoint}", device="cpu")
    assert encoder.name == "open_clip:tiny-test/epoch_1.pt"
    np.testing.assert_allclose(encoder.encode_texts(["a dog"]), tiny.encode_texts(["a dog"]), atol=1e-6)


class _Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (pytest.fail, ("unpickled",))


def test_a_checkpoint_with_code_in_it_is_refused(registered: str, tmp_path: Path) -> None:
    checkpoint = tmp_path / "bomb.pt"
    checkpoint.write_bytes(pickle.dumps(_Bomb()))
    with pytest.raises(InputError, match=r"cannot load open_clip:tiny-test"):
        load_encoder(f"open_clip:{registered}/{checkpoint}")


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("offlin", ConfigError, "did you mean 'offline'"),
        ("offline:x", ConfigError, "takes no"),
        ("open_clip:ViT-B-33/openai", ConfigError, "did you mean 'ViT-B-32'"),
        ("open_clip:ViT-B-32", ConfigError, "say which weights"),
        ("open_clip:ViT-B-32/laion2b", ConfigError, "laion2b_s34b_b79k"),
        ("open_clip:ViT-B-32//nowhere/model.pt", InputError, "no checkpoint /nowhere/model.pt"),
        ("open_clip:local-dir:/nowhere", InputError, "cannot load"),
    ],
)
def test_a_wrong_name_is_one_line_that_helps(name: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        load_encoder(name)
    assert "\n" not in str(caught.value)


def test_without_a_network_a_hub_name_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def unreachable(*_: object) -> None:
        raise OSError("network is unreachable")

    monkeypatch.setattr(socket.socket, "connect", unreachable)
    monkeypatch.setattr(socket, "getaddrinfo", unreachable)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="use --encoder offline") as caught:
        load_encoder("open_clip:ViT-B-32/laion2b_s34b_b79k")
    assert "\n" not in str(caught.value)


def test_half_precision_changes_a_vector_by_little(tiny: OpenClipEncoder, tiny_folder: Path, picture: Picture) -> None:
    shown = [open_rgb(picture(i)) for i in range(4)]
    half = load_encoder(f"open_clip:local-dir:{tiny_folder}", device="cpu", precision="bfloat16")
    assert (half.precision, tiny.precision) == ("bfloat16", "float32")
    assert half.fingerprint == tiny.fingerprint
    assert (half.encode_images(shown) * tiny.encode_images(shown)).sum(1).min() > 0.99
