//! The shows, in the part of the language that both routers know. Each comes with its scripts.

/// A show's text, and its scripts with their names.
pub type Show = (String, Vec<(String, String)>);

const NETWORK: &str = "[osc io]\nbind = 127.0.0.1 $IN\ndest = 127.0.0.1 $OUT\n/* = f 0.0 1.0\n";

/// So many channels in, through a handler each, and out.
pub fn echo(channels: usize) -> Show {
    let handler = |n| format!("def h{n}(v):\n    midimonster.output('out{n}', v)\n");
    let script = format!("import midimonster\n{}", (0..channels).map(handler).collect::<String>());
    let last = channels - 1;
    let show = format!(
        "{NETWORK}[python py]\nmodule = echo\n[map]\n\
         io./in{{0..{last}}} > py.echo.h{{0..{last}}}\npy.out{{0..{last}}} > io./out{{0..{last}}}\n"
    );
    (show, vec![("echo".into(), script)])
}

/// An echo of one channel beside an instance that sleeps in a handler all the time.
pub fn stall() -> Show {
    let (show, mut scripts) = echo(1);
    let sleeper =
        "import midimonster, time\ndef sleep():\n    time.sleep(1)\nmidimonster.interval(sleep, 1)\n";
    scripts.push(("sleeper".into(), sleeper.into()));
    (show.replace("[map]", "[python bad]\nmodule = sleeper\n[map]"), scripts)
}

/// One instance sends 100,001 events to another, which answers the last one.
pub fn burst() -> Show {
    let from = "import midimonster as m\ndef go(v):\n    if v < 0.5: return\n    for i in range(100000):\n        \
                m.output('e', i / 100000)\n    m.output('e', 1.0)\n";
    // the count comes back in the answer
    let to = "import midimonster as m\nn = 0\ndef e(v):\n    global n\n    n += 1\n    if v == 1.0:\n        \
              m.output('out0', n / 200000)\n        n = 0\ndef reset(v):\n    m.output('out0', v)\n";
    let show = format!(
        "{NETWORK}[python a]\nmodule = sends\n[python b]\nmodule = takes\n[map]\nio./go > a.sends.go\n\
         io./in0 > b.takes.reset\na.e > b.takes.e\nb.out0 > io./out0\n"
    );
    (show, vec![("sends".into(), from.into()), ("takes".into(), to.into())])
}

/// Two instances that compute for about 50 µs for each event, with every other one of these
/// channels each. What that takes on this machine is found out while the script is imported.
pub fn computing(channels: usize) -> Show {
    let head = "import midimonster, time\ndef compute(steps):\n    for i in range(steps): pass\n\
                def measure():\n    begun = time.thread_time()\n    compute(20000)\n    \
                return time.thread_time() - begun\n\
                STEPS = int(20000 * 50e-6 / min(measure() for i in range(20)))\n";
    let handler = |n| format!("def h{n}(v):\n    compute(STEPS)\n    midimonster.output('out{n}', v)\n");
    let script = |first| format!("{head}{}", (first..channels).step_by(2).map(handler).collect::<String>());
    let names = ["even", "odd"];
    let mapping = |n| {
        let name = names[n % 2];
        format!("io./in{n} > {name}.{name}.h{n}\n{name}.out{n} > io./out{n}\n")
    };
    let sections = names.map(|name| format!("[python {name}]\nmodule = {name}\n")).concat();
    let mappings: String = (0..channels).map(mapping).collect();
    let scripts = names.iter().zip(0..).map(|(name, first)| (name.to_string(), script(first))).collect();
    (format!("{NETWORK}{sections}[map]\n{mappings}"), scripts)
}

/// So many instances with a channel each.
pub fn instances(count: usize) -> Show {
    let sections: String = (0..count).map(|n| format!("[python p{n}]\nmodule = m{n}\n")).collect();
    let mappings: String =
        (0..count).map(|n| format!("io./in{n} > p{n}.m{n}.h\np{n}.out{n} > io./out{n}\n")).collect();
    let script = |n| format!("import midimonster\ndef h(v):\n    midimonster.output('out{n}', v)\n");
    let scripts = (0..count).map(|n| (format!("m{n}"), script(n))).collect();
    (format!("{NETWORK}{sections}[map]\n{mappings}"), scripts)
}
