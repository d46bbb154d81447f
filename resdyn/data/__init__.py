"""Data sets, without torch."""

from resdyn.data.fetching import download
from resdyn.data.images import ImageSet, cifar10, cifar100, mnist
from resdyn.data.names import image_set
from resdyn.data.toys import circles, digit_images, digits

__all__ = ["ImageSet", "cifar10", "cifar100", "circles", "digit_images", "digits", "download", "image_set", "mnist"]
