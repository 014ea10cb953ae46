"""A wave of light that runs along the corridor while nobody is there."""

import math

import midimonster

LAMPS = 8
PERIOD_MS = 9000

paused = False


def pause(value):
    global paused
    paused = value > 0.5


def step():
    if paused:
        return
    phase = midimonster.timestamp() % PERIOD_MS / PERIOD_MS
    for lamp in range(1, LAMPS + 1):
        wave = math.sin(2 * math.pi * (phase - lamp / LAMPS))
        midimonster.output(f"out{lamp}", 0.15 + 0.1 * wave)


midimonster.interval(step, 40)
