"""Values in and out: through the driver of a device, and with the programs of alsa-utils as the other side."""

import struct

from machine import Usb, Virtual, wait
from show import Program, Show, run

BOX = """
[midi box]
read = Virtual Raw MIDI 0-0
write = Virtual Raw MIDI 0-0
"""

ALL_TYPES = """
[map]
box.ch0.cc7 > box.channel1.cc8
box.ch0.note60 > box.ch1.note61
box.ch2.pressure60 > box.ch3.pressure61
box.ch4.aftertouch > box.ch5.aftertouch
box.ch6.program > box.ch7.program
box.ch8.pitch > box.ch9.pitch
box.ch10.rpn1 > box.ch11.rpn2
box.ch12.nrpn900 > box.ch15.nrpn16382
"""


def ready(show):
    """Waits until the device is connected both ways."""
    show.wait_for("receives from")
    show.wait_for("sends to")


def every_type_of_event_comes_in_from_a_device_and_goes_out_to_it():
    cases = [
        ("b0 07 40", ["b1 08 40"]),
        ("90 3c 64", ["91 3d 64"]),
        ("80 3c 40", ["91 3d 00"]),
        ("a2 3c 01", ["a3 3d 01"]),
        ("d4 7f", ["d5 7f"]),
        ("c6 05", ["c7 05"]),
        ("e8 01 40", ["e9 01 40"]),
        (
            "ba 65 00 ba 64 01 ba 06 12 ba 26 34",
            ["bb 65 00", "bb 64 02", "bb 06 12", "bb 26 34", "bb 65 7f", "bb 64 7f"],
        ),
        (
            "bc 63 07 bc 62 04 bc 06 7f bc 26 7f",
            ["bf 63 7f", "bf 62 7e", "bf 06 7f", "bf 26 7f", "bf 65 7f", "bf 64 7f"],
        ),
    ]
    with Virtual() as device, Show(BOX + ALL_TYPES) as show:
        ready(show)
        for sent, expected in cases:
            device.raw.send(sent)
            device.raw.expect(*expected)


def midi_file(events, ticks=4, ticks_in_half_a_second=96):
    """A file of one track for aplaymidi, with some time between the events."""
    track = b"".join(bytes([ticks]) + event for event in events) + b"\x00\xff\x2f\x00"
    header = b"MThd" + struct.pack(">IHHH", 6, 0, 1, ticks_in_half_a_second)
    path = "/run/events.mid"
    with open(path, "wb") as file:
        file.write(header + b"MTrk" + struct.pack(">I", len(track)) + track)
    return path


def aplaymidi_plays_every_type_and_aseqdump_shows_it():
    played = [
        "b0 07 40", "90 3c 64", "80 3c 40", "a2 3c 01", "d4 7f", "c6 05", "e8 01 40",
        "ba 65 00", "ba 64 01", "ba 06 12", "ba 26 34", "bc 63 07", "bc 62 04", "bc 06 7f", "bc 26 7f",
    ]
    shown = [
        "Control change 1, controller 8, value 64",
        "Note on 1, note 61, velocity 100",
        # what it calls a note on without velocity
        "Note off 1, note 61",
        "Polyphonic aftertouch 3, note 61, value 1",
        "Channel aftertouch 5, value 127",
        "Program change 7, program 5",
        # it counts from the middle
        "Pitch bend 9, value 1",
        *[f"Control change 11, controller {a}, value {b}" for a, b in [(101, 0), (100, 2), (6, 18), (38, 52)]],
        *[f"Control change 11, controller {a}, value 127" for a in (101, 100)],
        *[f"Control change 15, controller {a}, value {b}" for a, b in [(99, 127), (98, 126), (6, 127), (38, 127)]],
        *[f"Control change 15, controller {a}, value 127" for a in (101, 100)],
    ]
    with Show("[backend midi]\nname = stage\n[midi box]\n" + ALL_TYPES) as show:
        wait("the ports", lambda: "stage box out" in run("aconnect", "-l"))
        with Program("aseqdump", "-p", "stage box out") as dump:
            dump.wait_for("Source")
            run("aplaymidi", "-p", "stage box in", "-d", "0", midi_file(map(bytes.fromhex, played)))
            wait("all that was played", lambda: len(events(dump)) >= len(shown))
            assert events(dump) == shown, events(dump)


def events(dump):
    """What aseqdump has shown, without the number of the client."""
    lines = [" ".join(line.split()[1:]) for line in dump.lines]
    return [line for line in lines if any(word in line for word in (", value", ", note", ", program"))]


THROUGH = """
import midimonster
def cc(value):
    midimonster.output("a", value)
def pitch(value):
    midimonster.output("b", value)
def burst(value):
    for n in range(5000):
        midimonster.output("a" if n % 2 else "c", (n // 2 % 128) / 127)
"""
THROUGH_MAP = """
[python py]
module = through
[map]
box.ch0.cc1 > py.through.cc
box.ch0.pitch > py.through.pitch
box.ch0.note1 > py.through.burst
py.{a,c} > box.ch0.cc{2,3}
py.b > box.ch1.pitch
"""


def all_128_and_all_16384_values_survive_a_script_exactly():
    with Virtual() as device, Show(BOX + "rate = 8000" + THROUGH_MAP, through=THROUGH) as show:
        ready(show)
        device.raw.send(b"".join(bytes([0xB0, 1, value]) for value in range(128)))
        device.raw.expect(*[bytes([0xB0, 2, value]) for value in range(128)])
        values = range(16384)
        # a thousand at a time, so that this tests values and not bursts
        for start in range(0, 16384, 1024):
            part = values[start:start + 1024]
            device.raw.send(b"".join(bytes([0xE0, value & 127, value >> 7]) for value in part))
            device.raw.expect(*[bytes([0xE1, value & 127, value >> 7]) for value in part])


def running_status_real_time_bytes_and_long_messages_are_read_as_midi_has_them():
    text = BOX + "[map]\nbox.ch0.cc{1..9} > box.ch1.cc{1..9}"
    with Virtual() as device, Show(text) as show:
        ready(show)
        device.raw.send("b0 01 05 02 06 f8 fe b0 03 f8 07")
        device.raw.send("f0 7e 01 02 f7")
        device.raw.send(b"\xf0" + bytes(1000) + b"\xf7")
        device.raw.send("fe b0 05 09 f2 01 02 f6 b0 06 0a")
        device.raw.expect("b1 01 05", "b1 02 06", "b1 03 07", "b1 05 09", "b1 06 0a")
        wait("the count", lambda: "2 system-exclusive messages ignored" in show.instance("box")["note"])
        assert show.instance("box")["errors"] == 0


def of_5000_values_sent_at_once_a_device_gets_every_one():
    with Virtual() as device, Show(BOX + THROUGH_MAP, through=THROUGH) as show:
        ready(show)
        device.raw.send("90 01 01")
        device.raw.expect(*[bytes([0xB0, 2 if n % 2 else 3, n // 2 % 128]) for n in range(5000)])


def of_5000_values_sent_at_once_a_program_gets_every_one():
    with Show("[midi box]" + THROUGH_MAP, through=THROUGH) as show:
        wait("the ports", lambda: "mm-supervisor box out" in run("aconnect", "-l"))
        with Program("aseqdump", "-p", "mm-supervisor box out") as dump:
            dump.wait_for("Source")
            show.ask("send", "box.ch0.note1", "1")
            wait("all values", lambda: len(events(dump)) >= 5000)
            numbers = [(2 if n % 2 else 3, n // 2 % 128) for n in range(5000)]
            assert events(dump) == [f"Control change 0, controller {c}, value {value}" for c, value in numbers]


COUNT = """
import midimonster
seen = []
def cc(value):
    seen.append(round(value * 127))
def report(value):
    print(f"{len(seen)} seen, in order: {seen == [n % 128 for n in range(len(seen))]}", flush=True)
"""
COUNT_MAP = """
[python py]
module = count
[map]
box.ch0.cc1 > py.count.cc
box.ch0.note1 > py.count.report
"""


def of_5000_messages_from_a_usb_device_in_a_row_every_one_reaches_a_script():
    text = BOX.replace("Virtual Raw MIDI 0-0", "Fader Box")
    with Usb() as device:
        device.plug()
        device.number()
        with Show(text + COUNT_MAP, count=COUNT) as show:
            ready(show)
            device.raw.send(b"".join(bytes([0xB0, 1, n % 128]) for n in range(5000)) + b"\x90\x01\x01")
            show.wait_for("5000 seen, in order: True")


def of_as_many_messages_as_the_kernel_keeps_every_one_reaches_a_script_at_any_speed():
    with Virtual() as device, Show(BOX + COUNT_MAP, count=COUNT) as show:
        ready(show)
        # no cable slows this driver down
        device.raw.send(b"".join(bytes([0xB0, 1, n % 128]) for n in range(1900)) + b"\x90\x01\x01")
        show.wait_for("1900 seen, in order: True")


def of_5000_messages_from_a_program_in_a_row_every_one_reaches_a_script():
    with Show("[midi box]" + COUNT_MAP, count=COUNT) as show:
        wait("the ports", lambda: "mm-supervisor box in" in run("aconnect", "-l"))
        played = [bytes([0xB0, 1, n % 128]) for n in range(5000)] + [b"\x90\x01\x01"]
        # twice as fast as a MIDI cable; what is faster than the emulated processor overflows the kernel's 2000 places
        path = midi_file(played, ticks=1, ticks_in_half_a_second=1000)
        run("aplaymidi", "-p", "mm-supervisor box in", "-d", "0", path)
        show.wait_for("5000 seen, in order: True")


CHECKS = [
    every_type_of_event_comes_in_from_a_device_and_goes_out_to_it,
    aplaymidi_plays_every_type_and_aseqdump_shows_it,
    all_128_and_all_16384_values_survive_a_script_exactly,
    running_status_real_time_bytes_and_long_messages_are_read_as_midi_has_them,
    of_5000_values_sent_at_once_a_device_gets_every_one,
    of_5000_values_sent_at_once_a_program_gets_every_one,
    of_5000_messages_from_a_usb_device_in_a_row_every_one_reaches_a_script,
    of_as_many_messages_as_the_kernel_keeps_every_one_reaches_a_script_at_any_speed,
    of_5000_messages_from_a_program_in_a_row_every_one_reaches_a_script,
]
