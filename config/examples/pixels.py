"""A light with a tail that runs over a chain of pixels.

In:  speed, length, colour, master (0 to 1, each a fader of a tablet).
Out: a1 ... a510, b1 ... d510: red, green and blue of 170 pixels in each of four universes.
"""

import colorsys

import midimonster

PIXELS_PER_UNIVERSE = 170
UNIVERSES = "abcd"
PIXELS = PIXELS_PER_UNIVERSE * len(UNIVERSES)
FASTEST = 400.0  # pixels a second
LONGEST = 60  # pixels
STEP_MS = 25

# The channels of each pixel. Putting names together 2,000 times for each step would take longer than the effect.
CHANNELS = [
    [f"{universe}{pixel * 3 + part}" for part in (1, 2, 3)]
    for universe in UNIVERSES
    for pixel in range(PIXELS_PER_UNIVERSE)
]

settings = {"speed": 0.25, "length": 0.5, "colour": 0.6, "master": 1.0}
head = 0.0
lit = {}  # what is on: the colour of each pixel


def step():
    """Called every STEP_MS milliseconds: sends the pixels that change."""
    global head, lit
    head = (head + settings["speed"] * FASTEST * STEP_MS / 1000) % PIXELS
    length = 1 + round(settings["length"] * LONGEST)
    new = {}
    for behind in range(length):
        level = settings["master"] * (1 - behind / length) ** 2
        new[int(head - behind) % PIXELS] = colorsys.hsv_to_rgb(settings["colour"], 1.0, level)
    for pixel in lit.keys() - new.keys():
        show(pixel, (0.0, 0.0, 0.0))
    for pixel, colour in new.items():
        if lit.get(pixel) != colour:
            show(pixel, colour)
    lit = new


def show(pixel, colour):
    for channel, value in zip(CHANNELS[pixel], colour):
        midimonster.output(channel, value)


def speed(value):
    settings["speed"] = value


def length(value):
    settings["length"] = value


def colour(value):
    settings["colour"] = value


def master(value):
    settings["master"] = value


midimonster.interval(step, STEP_MS)
