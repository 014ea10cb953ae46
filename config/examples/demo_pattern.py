"""Makes a light with a tail run around a ring of lamps.

In:  run (0 stops, anything above goes on), speed (0 to 1).
Out: lamp1 ... lamp12, the level of each lamp from 0 to 1.
"""

import midimonster

LAMPS = 12
TAIL = 4.0  # lamps
FASTEST = 12.0  # lamps a second
STEP_MS = 40
TELL_EVERY_MS = 5000

position = 0.0  # where the head of the light is, in lamps
lamps_per_second = 3.0
steps = 0


def level(lamp):
    """Full at the head, fading out behind it."""
    behind = (position - lamp) % LAMPS
    return max(0.0, 1.0 - behind / TAIL) ** 2


def step():
    """Called every STEP_MS milliseconds while the pattern runs."""
    global position, steps
    position = (position + lamps_per_second * STEP_MS / 1000) % LAMPS
    for lamp in range(LAMPS):
        midimonster.output(f"lamp{lamp + 1}", level(lamp))

    steps += 1
    if steps % (TELL_EVERY_MS // STEP_MS) == 0:
        # What a script prints is in the log at once, with the name of its instance.
        print(f"the light is at lamp {int(position) + 1} of {LAMPS}, {lamps_per_second:.1f} lamps a second")


def run(value):
    # The same function again changes its interval, and 0 takes it away: a stopped pattern costs nothing.
    if value > 0:
        midimonster.interval(step, STEP_MS)
        print("running")
    else:
        midimonster.interval(step, 0)
        for lamp in range(LAMPS):
            midimonster.output(f"lamp{lamp + 1}", 0.0)
        print("stopped, all lamps dark; /run 1 starts it again")


def speed(value):
    global lamps_per_second
    lamps_per_second = value * FASTEST
    print(f"speed: {lamps_per_second:.1f} lamps a second")


midimonster.interval(step, STEP_MS)
