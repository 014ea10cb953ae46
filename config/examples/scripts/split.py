"""One fader for two halves: the left one opens first."""

import midimonster


def halves(value):
    midimonster.output("left", min(1.0, value * 2))
    midimonster.output("right", max(0.0, value * 2 - 1))
