"""How long a message takes from the driver of a device through a Python handler and back to that driver.

The processor is emulated, so only the ratios mean something.
"""

import time

from machine import Virtual, wait
from show import Program, Show, run, write

SHOW = """
[midi box]
read = Virtual Raw MIDI 0-0
write = Virtual Raw MIDI 0-0
[python py]
module = through
[map]
box.ch0.cc1 > py.through.cc
py.a > box.ch0.cc1
"""
SCRIPT = """
import midimonster
def cc(value):
    midimonster.output("a", value)
"""
PINGS = 1000


def measure(reference):
    with Virtual() as device:
        number = f"{device.number()}:0"
        run("aconnect", number, number)
        report("the driver and the sequencer alone", device)
        run("aconnect", "-d", number, number)
        with Show(SHOW, through=SCRIPT):
            report("with the show between", device)
        if reference:
            folder = write(SHOW, {"through": SCRIPT})
            with Program(reference, "show.cfg", cwd=folder):
                report("with the same show in the reference", device)


def report(title, device):
    answers(device, 0)
    times = sorted(filter(None, (ping(device, 1 + n % 127, n) for n in range(PINGS))))
    median, late = (times[int(len(times) * part)] * 1e6 for part in (0.5, 0.99))
    print(f"time  {title}: median {median:.0f} us, 99 of 100 within {late:.0f} us ({len(times)} of {PINGS})", flush=True)


def answers(device, value):
    """Waits until what is sent comes back."""
    def there():
        device.raw.send(bytes([0xB0, 1, value]))
        time.sleep(0.1)
        return device.raw.read()
    wait("an answer", there)
    time.sleep(0.2)
    device.raw.forget()


def ping(device, value, number):
    # no rhythm that anything could fall in with
    time.sleep(0.003 + number * 7919 % 5000 / 1e6)
    start = time.perf_counter()
    device.raw.send(bytes([0xB0, 1, value]))
    if not device.raw.await_bytes(1):
        return None
    took = time.perf_counter() - start
    # the rest of the message may come a little later
    time.sleep(0.002)
    device.raw.forget()
    return took
