"""Curves for faders."""

import midimonster


def squared(value):
    midimonster.output("squared", value * value)


def stepped(value):
    """Ten steps, whichever channel it came in on."""
    midimonster.output("step", round(value * 10) / 10)
