import numpy as np
import pytest

from resdyn import data

pytest.importorskip("sklearn")


def test_digit_images_are_the_digits_each_once():
    train, test = data.digit_images("train"), data.digit_images("test")
    assert (len(train), len(test)) == (1437, 360)
    images = np.concatenate([train.images, test.images]).reshape(-1, 64)
    pixels, labels = data.digits()
    # grey levels 0 … 16 become 17 different bytes, so rounding back is exact
    back = np.round(images * (16 / 255))
    found = sorted(map(tuple, np.column_stack([back, np.concatenate([train.labels, test.labels])])))
    assert found == sorted(map(tuple, np.column_stack([pixels, labels])))


def test_an_image_set_by_its_name_is_that_of_its_reader(tmp_path):
    for split in ("train", "test"):
        assert np.array_equal(data.image_set("digits", split).images, data.digit_images(split).images)
    with pytest.raises(FileNotFoundError, match="MNIST"):
        data.image_set("mnist", folder=tmp_path)
    with pytest.raises(ValueError, match="'digit'; there are 'cifar10', 'cifar100', 'mnist', 'digits'"):
        data.image_set("digit")
    with pytest.raises(ValueError, match="there are"):
        data.image_set(["digits"])


def test_digit_images_have_two_splits():
    with pytest.raises(ValueError, match="'test' or 'train'"):
        data.digit_images("validation")
