"""Counts a stream of events whose values are their numbers, as fractions of 2**23: those are exact in a 32-bit float."""

seen = wrong = last = 0


def tick(value):
    global seen, wrong, last
    number = round(value * 2**23)
    seen += 1
    wrong += number != last + 1
    last = number


def report(value):
    print(f"{seen} seen, {wrong} out of place", flush=True)
