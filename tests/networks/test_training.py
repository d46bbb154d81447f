import dataclasses
import json
import os

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import resdyn.data
import resdyn.data.names
from resdyn.data import ImageSet, digit_images, image_set
from resdyn.networks.architectures.cifar_resnets import resnet
from resdyn.networks.architectures.contract import Preprocessing
from resdyn.networks.architectures.dense import dense_resnet
from resdyn.networks.training import PRESETS, TrainingConfig, TrainingRun, accuracy, devices, fit
from resdyn.networks.training.runs import COLUMNS
from resdyn.networks.training.sources import samples, splits

REAL = pytest.mark.skipif(
    not os.environ.get("RESDYN_DATA"), reason="RESDYN_DATA names no folder with the real CIFAR-10"
)

SHORT = TrainingConfig(epochs=2, batch_size=16, learning_rate=0.05)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def some_images(n=40, seed=0, channels=3, classes=4):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (n, channels, 8, 8), dtype=np.uint8)
    return ImageSet(images, np.arange(n) % classes, tuple("abcdefghij"[:classes]), "noise")


def small_resnet(seed=0, **arguments):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return resnet(8, order="pre", widths=(4, 6, 8), classes=4, **arguments)


def linear_net(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Linear(3, 2)


def points(n=12):
    inputs = np.random.default_rng(1).normal(size=(n, 3)).astype(np.float32)
    return inputs, (inputs[:, 0] + inputs[:, 1] > 0).astype(np.int64)


def same_bits(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


# What is computed


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_full_batches_follow_the_formula_of_momentum_and_decay(smoothing):
    inputs, labels = points()
    net = linear_net()
    W, b = (p.detach().double().clone().requires_grad_() for p in net.parameters())
    config = TrainingConfig(
        epochs=5, batch_size=12, learning_rate=0.3, momentum=0.8, weight_decay=0.1, label_smoothing=smoothing
    )
    run = fit(net, (inputs, labels), config, progress=False)
    x, y, velocity, losses = torch.from_numpy(inputs).double(), torch.from_numpy(labels), [0.0, 0.0], []
    for _ in range(5):
        log_probability = (x @ W.T + b).log_softmax(1)
        chosen = log_probability[torch.arange(12), y]
        loss = -((1 - smoothing) * chosen + smoothing * log_probability.mean(1)).mean()
        losses.append(loss.item())
        gradients = torch.autograd.grad(loss, (W, b))
        with torch.no_grad():
            for k, (parameter, gradient) in enumerate(zip((W, b), gradients, strict=True)):
                velocity[k] = 0.8 * velocity[k] + gradient + 0.1 * parameter
                parameter -= 0.3 * velocity[k]
    # single precision against double, over five steps
    torch.testing.assert_close(net.weight.double(), W, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(net.bias.double(), b, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(run.loss, losses, rtol=1e-5)


def test_the_loss_of_an_epoch_is_the_mean_over_samples_though_the_last_batch_is_smaller():
    inputs, labels = points(10)
    net = linear_net()
    with torch.no_grad():
        expected = cross_entropy(net(torch.from_numpy(inputs)), torch.from_numpy(labels)).item()
    config = TrainingConfig(epochs=1, batch_size=4, learning_rate=1e-12, weight_decay=0.0)
    run = fit(net, (inputs, labels), config, progress=False)
    assert run.loss[0] == pytest.approx(expected, rel=1e-5)  # single precision; the rate moves nothing
    assert run.training_accuracy[0] == accuracy(net, (inputs, labels)).fraction


def test_adam_takes_first_steps_of_the_learning_rate():
    inputs, labels = points()
    net, before = linear_net(), linear_net().weight.detach()
    fit(
        net,
        (inputs, labels),
        TrainingConfig(epochs=1, batch_size=12, optimiser="adam", learning_rate=0.01, weight_decay=0),
        progress=False,
    )
    # the first step of Adam is rate · sign(gradient), but for its ε of 1e-8 against gradients of 1e-2
    torch.testing.assert_close((net.weight.detach() - before).abs(), torch.full((2, 3), 0.01), rtol=1e-4, atol=0)


def test_digits_are_learned():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = dense_resnet(64, 64, 3, 10)
    run = fit(net, "digits", dataclasses.replace(PRESETS["digits"], epochs=12), progress=False)
    # 347 of 360 here; 0.9 is far from the 0.1 of chance and leaves room for the rounding of other machines
    assert run.card["accuracy"]["fraction"] > 0.9
    assert run.loss[-1] < run.loss[0] / 3


# Seeds and state


def test_a_seed_fixes_every_bit_and_another_seed_does_not():
    config = dataclasses.replace(SHORT, pad=1, flip=True)
    nets = [small_resnet() for _ in range(3)]
    for net, seed in zip(nets, (5, 5, 6), strict=True):
        fit(net, some_images(), dataclasses.replace(config, seed=seed), progress=False)
    assert same_bits(nets[0], nets[1])
    assert not same_bits(nets[0], nets[2])


def test_global_random_numbers_and_settings_are_as_before():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    fit(nn.Sequential(nn.Dropout(0.5), linear_net()), points(), SHORT, progress=False)
    assert torch.equal(torch.rand(3), expected)
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.utils.deterministic.fill_uninitialized_memory


def test_algorithms_are_deterministic_while_training():
    seen = []
    net = linear_net()
    net.register_forward_hook(lambda *_: seen.append(torch.are_deterministic_algorithms_enabled()))
    fit(net, points(), SHORT, progress=False)
    assert seen
    assert all(seen)


def test_the_net_is_left_in_eval_mode_with_its_card():
    net = small_resnet()
    run = fit(net, (some_images(), some_images(20, seed=1)), SHORT, progress=False)
    assert not any(module.training for module in net.modules())
    assert net.card == run.card
    card = json.loads(json.dumps(run.card))
    assert card["architecture"] == net.architecture
    assert card["training"]["learning_rate"] == 0.05
    assert card["seed"] == 0
    assert card["epochs"] == 2
    assert card["precision"] == "32"
    assert card["data"] == {"name": "noise", "samples": 40, "sha256": samples(some_images()).sha256}
    assert card["accuracy"] == accuracy(net, some_images(20, seed=1))._asdict()
    assert card["versions"]["torch"] == torch.__version__


# Callbacks and outcomes


def test_a_callback_sees_each_epoch_and_may_end_the_run():
    seen = []

    def stop_after_two(epoch, net, metrics):
        seen.append((epoch, net.training, sorted(metrics)))
        return epoch == 2

    run = fit(linear_net(), points(), dataclasses.replace(SHORT, epochs=5), progress=False, callbacks=[stop_after_two])
    names = sorted(["loss", "training_accuracy", "accuracy", "learning_rate", "seconds"])
    assert seen == [(1, False, names), (2, False, names)]
    assert (run.end, run.epochs) == ("callback", 2)
    assert "a callback asked to stop" in repr(run)


def test_a_diverging_run_ends_and_says_so():
    config = TrainingConfig(epochs=50, batch_size=12, learning_rate=1e30)
    run = fit(linear_net(), points(), config, progress=False)
    assert run.end == "diverged"
    assert run.epochs < 50
    assert not np.isfinite(run.loss[-1])
    assert "the loss was not finite" in repr(run)


def test_a_run_is_stored_and_shown(tmp_path):
    run = fit(small_resnet(), (some_images(), some_images(8, 1)), SHORT, folder=tmp_path, progress=False)
    again = TrainingRun.load(tmp_path / "run.npz")
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(again, name), getattr(run, name))
    assert again.end == run.end == "complete"
    assert json.dumps(again.card) == json.dumps(run.card)
    assert repr(run).startswith("<TrainingRun: 2 epochs (all that were asked for) in ")
    assert f"{run.card['accuracy']['right']} of 8" in repr(run)
    assert run._repr_html_().count("<tr>") == 3
    stored = run.to_dataset()
    np.testing.assert_array_equal(stored["loss"], run.loss)
    assert stored["epoch"].values.tolist() == [1, 2]
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    assert [line["loss"] for line in lines] == run.loss.tolist()


def test_progress_is_a_bar_or_nothing(capsys):
    fit(linear_net(), points(), SHORT, progress=True)
    shown = capsys.readouterr().err
    assert "training: 100%" in shown
    assert "2/2" in shown  # two epochs of one batch
    fit(linear_net(), points(), SHORT, progress=False)
    assert "training" not in capsys.readouterr().err


def test_without_a_test_set_accuracies_are_nan_and_null_in_the_log(tmp_path):
    run = fit(linear_net(), points(), SHORT, folder=tmp_path, progress=False)
    assert np.isnan(run.accuracy).all()
    assert run.card["accuracy"] is None
    assert json.loads((tmp_path / "log.jsonl").read_text().splitlines()[0])["accuracy"] is None


# Pixels


def test_a_net_without_preprocessing_gets_that_of_the_training_images():
    images, net = some_images(), small_resnet()
    fit(net, images, SHORT, progress=False)
    pixels = images.pixels(np.float64)
    np.testing.assert_allclose(net.preprocessing.mean, pixels.mean((0, 2, 3)))
    np.testing.assert_allclose(net.preprocessing.std, pixels.std((0, 2, 3)))


def test_the_net_sees_normalised_images():
    seen, net = [], small_resnet()
    net.stem.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].detach()))
    fit(net, some_images(), dataclasses.replace(SHORT, epochs=1, batch_size=40), progress=False)
    found = seen[-1].double()  # the first pass is a look at two images
    # single precision, over 2560 pixels a channel
    torch.testing.assert_close(found.mean((0, 2, 3)), torch.zeros(3, dtype=torch.float64), atol=1e-5, rtol=0)
    torch.testing.assert_close(
        found.std((0, 2, 3), correction=0), torch.ones(3, dtype=torch.float64), atol=1e-5, rtol=0
    )


def test_the_preprocessing_of_the_config_is_used_and_must_not_contradict_the_net():
    config = dataclasses.replace(SHORT, mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.1))
    net = small_resnet()
    fit(net, some_images(), config, progress=False)
    assert net.preprocessing == Preprocessing((0.5, 0.4, 0.3), (0.2, 0.2, 0.1))
    fit(net, some_images(), config, progress=False)  # the same again is no contradiction
    net.preprocessing = Preprocessing((0, 0, 0), (1, 1, 1))
    with pytest.raises(ValueError, match=r"net\.preprocessing is .* but the config says"):
        fit(net, some_images(), config, progress=False)


@pytest.mark.parametrize(("name", "preset"), [("MNIST train", "mnist"), ("digits train", "digits"), ("x", "digits")])
def test_a_preset_for_colours_names_the_one_for_grey_images(name, preset):
    grey = some_images(channels=1)
    images = ImageSet(grey.images, grey.labels, grey.classes, name)
    nets = small_resnet(channels=1), small_resnet(channels=1, preprocessing=Preprocessing((0.5,), (0.5,)))
    message = rf'the preset \'laptop\' normalises images of 3 channels, but {name!r} has 1; pass config="{preset}"'
    for net in nets:
        before = net.preprocessing
        with pytest.raises(ValueError, match=message):
            fit(net, images, progress=False)
        assert net.preprocessing == before
    fit(nets[0], images, dataclasses.replace(PRESETS[preset], epochs=1), progress=False)  # what it names works


def test_a_preset_for_images_names_one_for_points():
    with pytest.raises(ValueError, match=r'crop and flip are for images .* pass config="digits"'):
        fit(linear_net(), points(), progress=False)
    fit(linear_net(), points(), dataclasses.replace(PRESETS["digits"], epochs=1), progress=False)


def test_channels_last_reaches_the_net():
    seen, net = [], small_resnet()
    net.stem.register_forward_hook(
        lambda _, inputs, __: seen.append(inputs[0].is_contiguous(memory_format=torch.channels_last))
    )
    fit(net, some_images(), dataclasses.replace(SHORT, epochs=1, channels_last=True), progress=False)
    assert all(seen)
    assert net.stem[0].weight.is_contiguous(memory_format=torch.channels_last)


# Precision, devices, compilation


def test_mixed_precision_multiplies_in_half_and_keeps_weights_in_single():
    seen, net = [], small_resnet()
    net.stem[0].register_forward_hook(lambda *args: seen.append((args[0].training, args[2].dtype)))
    run = fit(net, some_images(), dataclasses.replace(SHORT, precision="bf16-mixed"), progress=False)
    assert {dtype for training, dtype in seen if training} == {torch.bfloat16}
    assert {p.dtype for p in net.parameters()} == {torch.float32}
    assert run.card["precision"] == "bf16-mixed"
    assert run.end == "complete"


@pytest.mark.parametrize(("supported", "precision"), [(True, "bf16-mixed"), (False, "32")])
def test_auto_is_what_the_processor_can_do(monkeypatch, supported, precision):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: supported, raising=False)
    assert devices.resolved_precision("auto", torch.device("cpu")) == precision


def test_half_precision_with_scaled_gradients_needs_a_gpu():
    with pytest.raises(ValueError, match="'16-mixed' needs a GPU"):
        fit(linear_net(), points(), dataclasses.replace(SHORT, precision="16-mixed"))


def test_the_default_device_is_what_is_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert devices.training_device() == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert devices.training_device() == torch.device("cuda")
    with pytest.raises(ValueError, match="trained on 'cpu' or 'cuda'"):
        devices.training_device("meta")


def test_compile_hands_the_net_to_torch(monkeypatch):
    given = []
    monkeypatch.setattr(torch, "compile", lambda net, **_: given.append(net) or net)
    net = linear_net()
    fit(net, points(), dataclasses.replace(SHORT, compile=True), progress=False)
    assert given == [net]


# Accuracy


def test_accuracy_counts_and_leaves_the_modes_of_all_modules_alone():
    net = nn.Sequential(nn.BatchNorm1d(2), nn.Identity())
    net.train()
    net[1].eval()
    inputs = np.array([[3.0, 1.0], [0.0, 1.0], [2.0, 5.0]])
    found = accuracy(net, (inputs, np.array([0, 0, 1])), batch_size=2)
    assert found == (2 / 3, 2, 3)
    assert (found.right, found.total) == (2, 3)
    assert [module.training for module in net.modules()] == [True, True, False]
    assert net[0].num_batches_tracked == 0


def test_accuracy_of_images_is_that_on_pixels():
    net, images = small_resnet(preprocessing=Preprocessing((0.4, 0.5, 0.6), (0.2, 0.3, 0.1))).eval(), some_images()
    with torch.no_grad():
        right = (net.on_pixels(images.pixels()).argmax(1).numpy() == images.labels).sum()
    assert accuracy(net, images).right == right


def test_accuracy_on_a_name_is_that_on_its_test_set():
    net = resnet(8, order="pre", widths=(4, 6, 8), channels=1, preprocessing=Preprocessing((0.3,), (0.4,)))
    assert accuracy(net, "digits") == accuracy(net, digit_images("test"))


def test_accuracy_needs_samples_and_a_way_to_normalise_them():
    with pytest.raises(ValueError, match="does not say how to normalise"):
        accuracy(small_resnet(), some_images())
    with pytest.raises(ValueError, match="holds no samples"):
        accuracy(linear_net(), (np.zeros((0, 3)), np.zeros(0, int)))


@pytest.mark.parametrize("use", [accuracy, lambda net, data: fit(net, data, SHORT, progress=False)])
def test_images_of_floats_that_are_not_normalised_are_refused(use):
    images, given = some_images(), Preprocessing((0.4, 0.5, 0.6), (0.2, 0.3, 0.1))
    for net in (small_resnet(), small_resnet(preprocessing=given)):
        with pytest.raises(ValueError, match=r"values from 0 to 255, which look like bytes; .* Pass an ImageSet"):
            use(net, (images.images.astype(np.float32), images.labels))
    with pytest.raises(ValueError, match=r"which look like pixels, and net\.preprocessing is Preprocessing.*uint8"):
        use(small_resnet(preprocessing=given), (images.pixels(), images.labels))
    # normalised ones go in, and so do pixels where nothing, or the identity, normalises
    use(small_resnet(preprocessing=given), (given(images.pixels()), images.labels))
    use(small_resnet(), (images.pixels(), images.labels))
    identity = Preprocessing((0, 0, 0), (1, 1, 1))
    use(small_resnet(preprocessing=identity), (images.pixels(), images.labels))
    # a net that was made for numbers as large as bytes
    bytes_again = Preprocessing((0, 0, 0), (1 / 255,) * 3)
    use(small_resnet(preprocessing=bytes_again), (bytes_again(images.pixels()), images.labels))


def test_normalised_images_of_floats_are_counted_as_their_bytes_are():
    net, images = small_resnet(preprocessing=Preprocessing((0.4, 0.5, 0.6), (0.2, 0.3, 0.1))), some_images()
    assert accuracy(net, (net.preprocessing(images.pixels()), images.labels)) == accuracy(net, images)


def test_the_test_images_of_fit_are_checked_too():
    images, given = some_images(), Preprocessing((0.4, 0.5, 0.6), (0.2, 0.3, 0.1))
    normalised = (given(images.pixels()), images.labels)
    with pytest.raises(ValueError, match="'test data' has images with values from 0 to 1, which look like pixels"):
        fit(small_resnet(preprocessing=given), (normalised, (images.pixels(), images.labels)), SHORT)


def test_accuracy_on_a_name_reads_no_training_files(monkeypatch):
    asked = []

    def spy(split):
        asked.append(split)
        return digit_images(split)

    monkeypatch.setitem(resdyn.data.names.READERS, "digits", spy)
    accuracy(small_resnet(channels=1, preprocessing=Preprocessing((0.3,), (0.4,))), some_images(channels=1))
    accuracy(resnet(8, widths=(4, 6, 8), channels=1, preprocessing=Preprocessing((0.3,), (0.4,))), "digits")
    assert asked == ["test"]


# Data


def test_digits_are_split_into_images_of_bytes_without_overlap():
    train, test = splits("digits")
    assert (len(train), len(test)) == (1437, 360)
    assert train.inputs.shape == (1437, 1, 8, 8)
    together = torch.cat([train.inputs, test.inputs]).flatten(1).numpy()
    original = np.round(resdyn.data.digits()[0] * (255 / 16)).astype(np.uint8)
    order = np.lexsort(together.T), np.lexsort(original.T)
    np.testing.assert_array_equal(together[order[0]], original[order[1]])
    assert digit_images("test").images.max() == 255


def test_the_digest_tells_data_apart():
    a, b = some_images(), some_images()
    b.images[0, 0, 0, 0] ^= 1
    relabelled = ImageSet(a.images, np.roll(a.labels, 1), a.classes, a.name)
    assert len({samples(one).sha256 for one in (a, b, relabelled)}) == 3


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ("cifar11", ValueError, "there are 'cifar10', 'cifar100', 'mnist', 'digits'"),
        (7, TypeError, "is a int; pass an ImageSet"),
        ((np.zeros((3, 2)), np.zeros(2, int)), ValueError, r"labels of shape \(2,\); pass one label per input"),
        ((np.zeros((3, 2)), np.zeros(3)), TypeError, "labels of dtype float64"),
        ((np.full((3, 2), np.nan), np.zeros(3, int)), ValueError, "NaN or infinite"),
        ((np.zeros((0, 2)), np.zeros(0, int)), ValueError, "holds no samples"),
    ],
)
def test_data_that_cannot_be_trained_on(data, error, message):
    with pytest.raises(error, match=message):
        fit(linear_net(), data, SHORT)


def test_sets_that_do_not_fit_net_or_config_are_errors():
    with pytest.raises(ValueError, match=r"crop and flip are for images .* \(12, 3\)"):
        fit(linear_net(), points(), dataclasses.replace(SHORT, flip=True))
    with pytest.raises(ValueError, match="reflection needs less than the size"):
        fit(small_resnet(), some_images(), dataclasses.replace(SHORT, pad=8, pad_mode="reflect"))
    with pytest.raises(ValueError, match="pass sets of one kind"):
        fit(small_resnet(), (some_images(), points()), SHORT)
    with pytest.raises(ValueError, match="nothing to train"):
        fit(nn.Identity(), points(), SHORT)


class Answering(nn.Module):
    """A linear net whose answer is made of its logits."""

    def __init__(self, answer):
        super().__init__()
        self.linear, self.answer = linear_net(), answer

    def forward(self, x):
        return self.answer(self.linear(x))


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (lambda logits: {"logits": logits}, TypeError, "the net returns a dict, .* wrap it"),
        (lambda logits: logits[None], ValueError, r"of shape \(1, 2, 2\) for 2 inputs, .* shape \(2, classes\)"),
        (lambda logits: logits.argmax(1), ValueError, r"torch.int64 of shape \(2,\)"),
    ],
)
def test_a_net_must_return_logits(answer, error, message):
    with pytest.raises(error, match=message):
        fit(Answering(answer), points(), SHORT, progress=False)


@pytest.mark.parametrize(("label", "found"), [(-100, "-100 to 1"), (-1, "-1 to 1"), (2, "0 to 2")])
@pytest.mark.parametrize("place", ["train", "test"])
def test_labels_are_numbers_of_outputs(label, found, place):
    inputs, labels = points()
    other = labels.copy()
    other[3] = label
    sets = {"train": labels, "test": labels, place: other}
    data = ((inputs, sets["train"]), (inputs, sets["test"]))
    with pytest.raises(ValueError, match=rf"labels from {found}, but the net has 2 outputs"):
        fit(linear_net(), data, SHORT, progress=False)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_weights_are_trained_in_single_precision(dtype):
    with pytest.raises(TypeError, match=rf"has parameters of {dtype}.*call net\.float\(\) first"):
        fit(linear_net().to(dtype), points(), SHORT, progress=False)


def test_integers_are_images_or_an_error():
    labels = np.zeros(4, int)
    for inputs in (np.zeros((4, 3), int), np.zeros((4, 3), np.uint8), np.zeros((4, 3, 8, 8), np.int32)):
        with pytest.raises(TypeError, match=r"integers are read as images only, uint8 of shape \(n, C, H, W\)"):
            fit(linear_net(), (inputs, labels), SHORT, progress=False)


def test_inputs_of_another_shape_than_the_nets_are_an_error_that_leaves_the_net_as_it_was():
    net = small_resnet()
    with pytest.raises(ValueError, match=r"cannot take inputs of shape \(40, 1, 8, 8\) from 'noise'"):
        fit(net, some_images(channels=1), SHORT, progress=False)
    assert net.preprocessing is None
    assert net.training


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"config": {"epochs": 2}}, TypeError, "config is {'epochs': 2}; pass a TrainingConfig"),
        ({"config": SHORT, "device": "foo"}, ValueError, "device is 'foo', which torch does not know"),
        (
            {"config": SHORT, "processes": 2, "callbacks": [lambda *_: None]},
            TypeError,
            "cannot be sent to other processes .*pass a function of a module",
        ),
    ],
)
def test_options_are_checked_before_training(options, error, message):
    with pytest.raises(error, match=message):
        fit(linear_net(), points(), progress=False, **options)


def test_without_progress_nothing_is_printed(capfd):
    fit(linear_net(), points(), dataclasses.replace(SHORT, precision="bf16-mixed"), progress=False)
    assert capfd.readouterr() == ("", "")


def test_statistics_of_constant_channels_are_usable():
    images = some_images()
    images.images[:, 1] = 51
    net = small_resnet()
    fit(net, images, SHORT, progress=False)
    assert net.preprocessing.mean[1] == pytest.approx(0.2)
    assert net.preprocessing.std[1] == 1


@REAL
def test_a_first_step_on_cifar10_with_the_augmentation_of_yang2020():
    train = image_set("cifar10", "train").subset(slice(0, 128))
    config = dataclasses.replace(PRESETS["yang2020"], epochs=1, milestones=(0.5,))
    net = resnet(8, order="pre", interpolation="in")
    run = fit(net, train, config, progress=False)
    assert net.preprocessing == Preprocessing((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))
    # a net that knows nothing has about the loss of chance, log 10 = 2.3
    assert 1.5 < run.loss[0] < 4


# The config


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"epochs": 0}, ValueError, "epochs must be at least 1"),
        ({"batch_size": 2.5}, TypeError, "batch_size must be an integer"),
        ({"optimiser": "lion"}, ValueError, "optimiser is 'lion'; there are 'sgd', 'adam'"),
        ({"learning_rate": 0}, ValueError, "learning_rate must be a finite number above 0"),
        ({"schedule": "steps"}, ValueError, "'steps' needs milestones"),
        ({"milestones": (1,)}, ValueError, "only it takes them"),
        ({"schedule": "steps", "milestones": (3, 2)}, ValueError, "ascending"),
        ({"pad_mode": "wrap"}, ValueError, "'zeros', 'reflect'"),
        ({"label_smoothing": 1.5}, ValueError, "label_smoothing must lie between"),
        ({"mean": (0.5,)}, ValueError, "both or neither"),
        ({"precision": "64"}, ValueError, "precision is '64'"),
        ({"mean": (0.5, 0.5), "std": (0.5,)}, ValueError, "2 means and 1 deviations"),
        ({"mean": (0.5,), "std": ("a",)}, TypeError, "std must be numbers"),
    ],
)
def test_a_config_is_checked(changes, error, message):
    with pytest.raises(error, match=message):
        TrainingConfig(**{"epochs": 3, **changes})


def test_one_number_is_one_channel():
    config = TrainingConfig(epochs=1, mean=0.5, std=0.25)
    assert (config.mean, config.std) == ((0.5,), (0.25,))


def test_an_unknown_preset_lists_those_there_are():
    with pytest.raises(ValueError, match=r"config is 'desktop'.*'he2016'.*'yang2020'.*'laptop'.*'smoke'"):
        fit(linear_net(), points(), "desktop")
