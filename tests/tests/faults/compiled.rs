//! Fault `compiled-modules`: threads, asyncio and compiled modules in a script.

use crate::{assert_serves, finish, run};
use mm_tests::Event;
use mm_tests::osc::F;

const MAPPINGS: &str = "net./go > py.h.go\nnet./ask > py.h.ask\npy.answer > net./answer\npy.x > net./x";

const ASK: &str = "
def ask(value):
    midimonster.output('answer', value)
";

#[test]
fn ctypes_calls_into_the_c_library_and_is_called_back() {
    let script = format!(
        "import ctypes, midimonster
libc = ctypes.CDLL(None)
libc.strlen.restype = ctypes.c_size_t
compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
def go(value):
    numbers = (ctypes.c_int * 4)(3, 1, 4, 2)
    libc.qsort(numbers, 4, ctypes.sizeof(ctypes.c_int), compare(lambda a, b: a[0] - b[0]))
    print('sorted', list(numbers), libc.strlen(b'hello'))
    midimonster.output('x', value)
{ASK}"
    );
    let (show, others) = run(&script, "", MAPPINGS);
    show.send("/go", &[F(0.5)]);
    show.wait_for(Event::printed("py", "sorted [1, 2, 3, 4] 5"));
    show.expect("/x", &[F(0.5)]);
    finish(show, others);
}

#[test]
fn compiled_modules_of_the_standard_library_work() {
    let script = format!(
        "import _ctypes, _json, array, binascii, decimal, hashlib, json, math, midimonster, select, socket, sqlite3, ssl, struct, zlib
def go(value):
    data = zlib.decompress(zlib.compress(b'x' * 1000))
    digest = hashlib.sha256(data).hexdigest()[:8]
    rows = sqlite3.connect(':memory:').execute('select 6 * 7').fetchone()
    print('compiled', len(data), digest, rows[0], json.loads('[1]'), math.sqrt(decimal.Decimal(16)))
{ASK}"
    );
    let (show, others) = run(&script, "", MAPPINGS);
    show.send("/go", &[F(0.5)]);
    show.wait_for(Event::printed("py", "compiled 1000").message("42 [1] 4.0"));
    assert_serves(&show);
    finish(show, others);
}

#[test]
fn busy_threads_leave_the_handlers_room() {
    let script = format!(
        "import midimonster, threading
def work():
    while True:
        sum(range(1000))
for _ in range(4):
    threading.Thread(target=work, daemon=True).start()
def go(value):
    pass
{ASK}"
    );
    let (show, others) = run(&script, "", MAPPINGS);
    for _ in 0..20 {
        assert_serves(&show);
        show.send("/ask", &[F(0.25)]);
        show.expect("/answer", &[F(0.25)]);
    }
    finish(show, others);
}

#[test]
fn asyncio_runs_in_a_thread() {
    let script = format!(
        "import asyncio, midimonster, threading
loop = asyncio.new_event_loop()
threading.Thread(target=loop.run_forever, daemon=True).start()
async def fade(value):
    for step in range(1, 5):
        await asyncio.sleep(0.01)
        midimonster.output('x', value * step / 4)
def go(value):
    asyncio.run_coroutine_threadsafe(fade(value), loop)
{ASK}"
    );
    let (show, others) = run(&script, "", MAPPINGS);
    show.send("/go", &[F(1.0)]);
    // On a loaded machine steps before the last one may go out as one.
    show.expect("/x", &[F(1.0)]);
    finish(show, others);
}

#[test]
fn numpy_works_where_it_is_installed() {
    let script = format!(
        "import midimonster
try:
    import numpy
except ImportError as error:
    numpy = None
    print('numpy is absent:', error)
else:
    print('numpy is present:', numpy.__version__)
def go(value):
    print('product', numpy.dot(numpy.full((64, 64), value), numpy.ones((64, 64))).sum())
    midimonster.output('x', float(numpy.float32(value)))
{ASK}"
    );
    let (show, others) = run(&script, "", MAPPINGS);
    let printed = show.wait_for(Event::printed("py", "numpy is"));
    if printed.message.contains("present") {
        for _ in 0..2 {
            show.send("/go", &[F(0.5)]);
            show.wait_for(Event::printed("py", "product 131072.0"));
            show.expect("/x", &[F(0.5)]);
            show.send("/go", &[F(0.25)]);
            show.expect("/x", &[F(0.25)]);
        }
    }
    assert_serves(&show);
    finish(show, others);
    if !printed.message.contains("present") {
        mm_tests::skip!("the worker's Python has no numpy");
    }
}
