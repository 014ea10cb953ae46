"""Presence sensors to lamps: the nearer a lamp is to somebody, the brighter it is."""

import midimonster

LAMPS = 8

seen = [0.0] * (LAMPS + 1)
level = 1.0


def sensor(value):
    """The default handler: called for in1 to in8, which midimonster.current() tells apart."""
    seen[int(midimonster.current().removeprefix("in"))] = value
    midimonster.output("anybody", max(seen))
    update()


def master(value):
    global level
    level = value
    update()


def update():
    for lamp in range(1, LAMPS + 1):
        near = max(seen[at] / (1 + abs(at - lamp)) for at in range(1, LAMPS + 1))
        midimonster.output(f"out{lamp}", near * level)
