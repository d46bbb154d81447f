import json

import numpy as np
import pytest

import resdyn
from experiments import follow_image

torch = pytest.importorskip("torch")


@pytest.fixture
def few_images(monkeypatch):
    rng = np.random.default_rng(0)
    images = resdyn.data.ImageSet(
        rng.integers(0, 256, (12, 3, 32, 32), dtype=np.uint8), rng.integers(0, 10, 12), tuple("abcdefghij"), "few"
    )
    monkeypatch.setattr(resdyn.data, "cifar10", lambda split: images)
    return images


def run(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["follow_image", *map(str, arguments)])
    follow_image.main()


def test_the_numbers_are_those_of_the_network_itself(few_images, monkeypatch, tmp_path):
    torch.manual_seed(0)
    net = resdyn.networks.resnet(14, order="pre", widths=(2, 3, 4)).eval()
    net.preprocessing = resdyn.networks.Preprocessing((0.5,) * 3, (0.2,) * 3)
    weights = tmp_path / "small.safetensors"
    resdyn.networks.save(net, weights)
    run(monkeypatch, "--weights", weights, "--image", 3, "--images", 8, "--out", tmp_path, "--without-picture")
    numbers = json.loads((tmp_path / "small.json").read_text())

    states = [net.stem(net.preprocessing(torch.tensor(few_images.pixels()[3:4])))]
    for unit in net.units:
        states.append(unit(states[-1]))
    norms = [float(state.detach().norm()) for state in states]
    assert numbers["state_norms_of_the_image"] == pytest.approx(norms, rel=1e-5)  # float32
    assert numbers["images"] == 8
    assert len(numbers["residual_norms_of_the_image"]) == len(numbers["units"]) == 6
    assert numbers["residual_norms_of_the_image"][0] == pytest.approx(
        float((states[1] - states[0]).detach().norm()), rel=1e-5
    )
    with torch.no_grad():
        predicted = net.on_pixels(few_images.pixels()[:8]).argmax(1).numpy()
    assert numbers["accuracy"] == (predicted == few_images.labels[:8]).mean()
    assert (tmp_path / "small.png").stat().st_size > 10_000


def test_an_image_beyond_those_asked_for_is_refused(few_images, monkeypatch, tmp_path):
    with pytest.raises(SystemExit):
        run(monkeypatch, "--image", 8, "--images", 8, "--out", tmp_path)
