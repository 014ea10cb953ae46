"""Eight levels that a box with motor faders and a desk hold in common."""

import midimonster

# a fader knows no finer steps, so what differs by less is the same level
STEPS = 127

levels = {}


def moved(value):
    """A fader of the box or of the desk has a new place."""
    source, number = midimonster.current()[:-1], midimonster.current()[-1]
    step = round(value * STEPS)
    if levels.get(number) == step:
        # The other side has done what it was told, and says so. To go on would be the circle.
        return
    levels[number] = step
    midimonster.output("lamp" + number, value)
    if source != "box":
        # never back to where it comes from: a motor would pull against the hand
        midimonster.output("motor" + number, value)
