"""What a unit does at one state, read off its run: layers, activations and one addition, as sparse factors."""

from resdyn.networks.linearization.reading.anatomy import Anatomy as Anatomy
from resdyn.networks.linearization.reading.anatomy import anatomy as anatomy
from resdyn.networks.linearization.reading.cuts import factors_of as factors_of
from resdyn.networks.linearization.reading.nodes import Unreadable as Unreadable
from resdyn.networks.linearization.reading.watching import watched as watched
