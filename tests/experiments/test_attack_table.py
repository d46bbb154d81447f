import numpy as np
import pytest

import resdyn
from experiments import attack_table

torch = pytest.importorskip("torch")


def test_the_table_says_what_the_attacks_say():
    rng = np.random.default_rng(0)
    images = resdyn.data.ImageSet(
        rng.integers(0, 256, (6, 3, 8, 8), dtype=np.uint8), rng.integers(0, 10, 6), tuple("abcdefghij"), "few"
    )
    torch.manual_seed(0)
    net = resdyn.networks.resnet(8, widths=(2, 3, 4)).eval()
    net.preprocessing = resdyn.networks.Preprocessing((0.5,) * 3, (0.2,) * 3)
    numbers = attack_table.measure(net, images)

    with torch.no_grad():
        predicted = net.on_pixels(images.pixels()).argmax(1).numpy()
    assert numbers["clean"] == (predicted == images.labels).mean()
    for row in numbers["radii"]:
        fgsm = resdyn.networks.fgsm(net, images.pixels(), images.labels, radius=row["radius"], norm=row["norm"])
        assert row["fgsm"] == fgsm.accuracy
    assert numbers["noise"] == pytest.approx(np.mean(numbers["noise_by_severity"]))
