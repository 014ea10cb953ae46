"""The machine under the checks: kernel modules, MIDI devices, and what the kernel knows of them."""

import os
import re
import select
import subprocess
import time
from pathlib import Path

# the files of all modules, by the names that they go by once they are loaded
MODULES = {
    Path(line).stem.replace("-", "_"): line for line in Path(os.environ["MM_MODULES"]).read_text().splitlines()
}

# how long anything may take that has no limit of its own: the processor is emulated
PATIENCE = 30.0


def wait(what, find, within=PATIENCE):
    """Waits until `find` finds something, and returns it."""
    start = time.monotonic()
    while True:
        found = find()
        if found:
            return found
        if time.monotonic() - start > within:
            raise AssertionError(f"waited {within:g} s for {what}")
        time.sleep(0.005)


def is_loaded(name):
    return Path("/sys/module", name.replace("-", "_")).exists()


def load(name, *parameters):
    """Loads a kernel module after those that it needs."""
    if is_loaded(name):
        return
    file = MODULES.get(name.replace("-", "_"))
    if file is None:
        return  # it is part of the kernel
    depends = re.search(rb"\0depends=([^\0]*)", Path(file).read_bytes())
    for need in (depends[1].decode() if depends else "").split(","):
        if need:
            load(need)
    subprocess.run(["busybox", "insmod", file, *parameters], check=True)


def unload(name):
    """Takes a module out, as soon as no program holds it any more."""
    def try_it():
        return subprocess.run(["busybox", "rmmod", name], capture_output=True).returncode == 0
    wait(f"the end of {name}", lambda: not is_loaded(name) or try_it())


def clients():
    """The clients of the sequencer: numbers by names."""
    text = Path("/proc/asound/seq/clients").read_text()
    return {name: int(number) for number, name in re.findall(r'^Client +(\d+) : "(.*)" \[', text, re.M)}


def messages(data):
    """A stream of bytes as messages; drivers write with running status."""
    found, status, rest = [], None, []
    for byte in data:
        if byte >= 0xF8:
            continue
        if byte >= 0x80:
            status, rest = byte, []
            continue
        rest.append(byte)
        if status is not None and len(rest) == (1 if 0xC0 <= status < 0xE0 else 2):
            found.append(bytes([status, *rest]))
            rest = []
    return found


class Raw:
    """The far side of a device, as a file of bytes."""

    def __init__(self, card):
        path = f"/dev/snd/midiC{card}D0"
        wait(path, lambda: os.path.exists(path))
        self.file = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        self.bytes = b""
        self.looked = 0
        # what comes before the first read is dropped
        self.read()

    def send(self, data):
        if isinstance(data, str):
            data = bytes.fromhex(data)
        while data:
            try:
                data = data[os.write(self.file, data):]
            except BlockingIOError:
                time.sleep(0.0005)

    def read(self):
        """The messages that came and have not been looked at."""
        try:
            while True:
                self.bytes += os.read(self.file, 4096)
        except BlockingIOError:
            return messages(self.bytes)[self.looked:]

    def await_bytes(self, seconds):
        """Waits for anything to come."""
        return bool(select.select([self.file], [], [], seconds)[0])

    def forget(self):
        """Drops what came so far."""
        self.looked += len(self.read())

    def expect(self, *expected, within=PATIENCE):
        """Waits for as many messages, which have to be these."""
        expected = [bytes.fromhex(one) if isinstance(one, str) else one for one in expected]
        wait_for = f"{len(expected)} messages from {expected[0].hex(' ')} to {expected[-1].hex(' ')}"
        try:
            wait(wait_for, lambda: len(self.read()) >= len(expected), within)
        except AssertionError as error:
            raise AssertionError(f"{error}; there are {len(self.read())}") from None
        found = self.read()
        self.looked += len(found)
        if found != expected:
            at = next((n for n, (a, b) in enumerate(zip(found, expected)) if a != b), len(expected))
            show = [one.hex(" ") for one in found[at:at + 5]]
            raise AssertionError(f"got {len(found)} of {len(expected)} messages, from the one of number {at} on {show}")

    def close(self):
        os.close(self.file)


class Virtual:
    """The card of snd-virmidi: its name holds the number of the card."""

    def __init__(self, card=0):
        load("snd-virmidi", f"index={card}", "midi_devs=1")
        self.name = f"Virtual Raw MIDI {card}-0"
        self.raw = Raw(card)

    def number(self):
        return clients()[self.name]

    def unplug(self):
        """Takes the driver off its device first: a module whose ports are connected cannot be unloaded."""
        self.raw.close()
        Path("/sys/bus/platform/drivers/snd_virmidi/unbind").write_text("snd_virmidi.0")
        unload("snd-virmidi")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if is_loaded("snd-virmidi"):
            self.unplug()


class Usb:
    """A USB device: one side of an emulated cable plays the fader box, on the other is the driver of real ones."""

    # of the card on the side that plays the device
    CARD = 7
    ROOT = Path("/sys/kernel/config/usb_gadget/box")
    DRIVER = Path("/sys/bus/usb/drivers/snd-usb-audio")

    def __init__(self, name="Fader Box"):
        self.name = name
        self.raw = None
        for module in ["snd-seq-midi", "snd-usb-audio", "dummy_hcd", "libcomposite", "usb_f_midi"]:
            load(module)
        if not self.ROOT.parent.exists():
            subprocess.run(["mount", "-t", "configfs", "none", "/sys/kernel/config"], check=True)
        if not self.ROOT.exists():
            self.build()
        (self.ROOT / "strings/0x409/product").write_text(name)

    def build(self):
        root = self.ROOT
        for folder in [root, root / "strings/0x409", root / "configs/c.1", root / "functions/midi.0"]:
            folder.mkdir()
        (root / "idVendor").write_text("0x1d6b")
        (root / "idProduct").write_text("0x0104")
        (root / "strings/0x409/manufacturer").write_text("Nobody")
        function = root / "functions/midi.0"
        (function / "index").write_text(str(self.CARD))
        # packets of 16 messages and no long queue of them, as real devices have
        (function / "buflen").write_text("64")
        (function / "qlen").write_text("2")
        (root / "configs/c.1/midi.0").symlink_to(root / "functions/midi.0")

    def plug(self):
        (self.ROOT / "UDC").write_text("dummy_udc.0")
        self.raw = Raw(self.CARD)

    def unplug(self):
        self.raw.close()
        self.raw = None
        (self.ROOT / "UDC").write_text("\n")
        wait("the device to be gone", lambda: self.name not in clients())

    def interfaces(self):
        """What the driver holds of it, for sysfs."""
        return sorted(path.name for path in self.DRIVER.glob("[0-9]*-*:*"))

    def number(self):
        return wait(f"the client `{self.name}`", lambda: clients().get(self.name))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.raw:
            self.unplug()
