"""Gives the levels of the lamps a brightness and a colour.

In:  lamp1 ... lamp12 (levels), brightness and colour (0 to 1, colour goes once around the colour wheel).
Out: red1, green1, blue1 ... red12, green12, blue12.
"""

import colorsys

import midimonster

LAMPS = 12

# An OSC message without any tool: Python's standard library is enough.
SEND = (
    'python3 -c "import socket, struct, sys; path = sys.argv[1].encode(); '
    "socket.socket(2, 2).sendto(path + b'\\0' * (4 - len(path) % 4) + b',f\\0\\0' "
    "+ struct.pack('>f', float(sys.argv[2])), ('127.0.0.1', 8000))\""
)

master = 1.0
hue = 0.08


def show(number, level):
    red, green, blue = colorsys.hsv_to_rgb(hue, 1.0, level * master)
    midimonster.output(f"red{number}", red)
    midimonster.output(f"green{number}", green)
    midimonster.output(f"blue{number}", blue)


def show_all():
    # The core remembers the last value of every channel, so this file does not have to.
    for number in range(1, LAMPS + 1):
        show(number, midimonster.inputvalue(f"lamp{number}"))


def lamp(value):
    """The default handler: it serves all twelve lamps, and `current()` says which one this is."""
    number = int(midimonster.current().removeprefix("lamp"))
    show(number, value)


def brightness(value):
    global master
    master = value
    show_all()
    print(f"brightness: {master:.2f}")


def colour(value):
    global hue
    hue = value
    show_all()
    print(f"colour: {hue:.2f}")


print("change the light with OSC to 127.0.0.1 port 8000: /run, /speed, /brightness or /colour, each from 0 to 1")
print(f"no OSC tool at hand? in another terminal: {SEND} /colour 0.6")
