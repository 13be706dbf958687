import pytest

from curate.errors import ConfigError, InputError, StorageError
from curate.settings import build, load
from train.config import TrainConfig
from train.folder import alone_in, check_folder, digest_of, write_config

WHOLE = {"model": "m", "out": "o", "data": {"plan": "p"}}


def config(**more) -> TrainConfig:
    return build(TrainConfig, WHOLE | more)


def test_one_limit_holds_for_rendering_and_loading():
    data = config(data={"plan": "p", "max_tokens": 512, "max_images": 7, "load": {"batch": 2}}).data
    assert (data.render.max_tokens, data.load.max_tokens) == (512, 512)
    assert (data.render.max_images, data.load.max_images) == (7, 7)


def test_a_sections_own_limit_wins():
    assert config(data={"plan": "p", "max_tokens": 512, "render": {"max_tokens": 128}}).data.render.max_tokens == 128


def test_stages_say_what_is_trained():
    trained = {stage: {rule.match: rule.train for rule in config(stage=stage).rules} for stage in ("align", "instruct", "icl")}
    assert trained["align"] == {"all": "frozen", "vision": "frozen", "projector": "full"}
    assert trained["instruct"] == trained["icl"] == {"all": "full", "vision": "frozen", "projector": "full"}


def test_rules_of_the_user_come_last():
    assert config(parts=[{"match": "vision", "train": "lora"}]).rules[-1].train == "lora"


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"data": "runs/plan"}, "give a mapping"),
        ({"optimiser": {}}, "optimizer"),
        ({"optimizer": {"lr": -1}}, "optimizer.lr"),
        ({"data": {"plan": "p", "load": {"batsh": 1}}}, "batch"),
        ({"data": {"plan": "p", "max_tokens": "many"}}, "max_tokens"),
        ({"stage": "pretrain"}, "stage"),
        ({"parts": [{"train": "full"}]}, "match"),
        ({"optimizer": {"lr": float("inf")}}, "optimizer.lr"),
        ({"checkpoint": {"best": "validation.loss"}}, "no validation section"),
        ({"log": {"profile": [5, 2]}}, "log.profile"),
    ],
)
def test_a_wrong_setting_is_named(wrong, told):
    with pytest.raises(ConfigError, match=told):
        config(**wrong)


def test_a_run_goes_on_only_with_settings_that_shape_the_same_curve(tmp_path):
    out = str(tmp_path / "run")
    old = config(out=out)
    check_folder(old)
    write_config(old)
    check_folder(old)
    check_folder(config(out=out, optimizer={"lr": 1e-3}))  # it left nothing to go on from
    (tmp_path / "run" / "checkpoints" / "step-00000002").mkdir(parents=True)
    check_folder(config(out=out, log={"every": 3}, data={"plan": "p", "load": {"micro_batch": 4, "workers": 0}}))
    with pytest.raises(ConfigError, match=r"optimizer.lr was 2e-05, is 0.001"):
        check_folder(config(out=out, optimizer={"lr": 1e-3}))
    assert digest_of(old) == digest_of(config(out="elsewhere", compute={"threads": 1}))
    assert digest_of(old) != digest_of(config(seed=1))


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"notes.txt lies there"):
        check_folder(config(out=str(tmp_path)))
    with pytest.raises(InputError, match="is a file"):
        check_folder(config(out=str(tmp_path / "notes.txt")))
    with pytest.raises(ConfigError, match="URL"):
        check_folder(config(out="s3://bucket/run"))


def test_one_trainer_at_a_time_in_a_folder(tmp_path):
    out = str(tmp_path / "run")
    with alone_in(out), pytest.raises(ConfigError, match="another process trains"), alone_in(out):
        pass
    with alone_in(out):
        check_folder(config(out=out))


def test_a_stored_config_is_the_same_run_and_its_limits_go_on_following(tmp_path):
    told = config(seed=7, out=str(tmp_path), data={"plan": "p", "max_tokens": 512})
    assert told.data.load.seed == 7
    write_config(told)
    stored = load(TrainConfig, tmp_path / "config.yaml")
    assert (stored, digest_of(stored)) == (told, digest_of(told))
    shorter = load(TrainConfig, tmp_path / "config.yaml", ["data.max_tokens=128", "seed=8"])
    assert (shorter.data.render.max_tokens, shorter.data.load.max_tokens, shorter.data.load.seed) == (128, 128, 8)


def test_a_seed_of_the_loaders_own_stays():
    assert config(seed=7, data={"plan": "p", "load": {"seed": 3}}).data.load.seed == 3


def test_a_run_has_an_end():
    with pytest.raises(ConfigError, match="give steps, or"):
        config(data={"plan": "p", "load": {"epochs": None}})
    assert config(steps=9).training.load.epochs is None
    assert config(steps=9, seed=4, validation={"plan": "q"}).held_out.load.model_dump(include={"epochs", "seed"}) == {
        "epochs": 1,
        "seed": 0,
    }


def test_a_folder_that_cannot_be_made_is_told():
    with pytest.raises(StorageError, match="cannot make the folder"), alone_in("/proc/run"):
        pass
