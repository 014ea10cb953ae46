//! The README's tour, as a reader goes through it: its files are written, its commands are run with
//! the real programs, and what these print is compared with what the README shows.
//!
//! A block that is indented by four spaces holds commands, each behind `$ ` and followed by what it
//! prints, or what is printed elsewhere: lines that begin with a time by the show, others by the
//! listener. A show prints what the README shows of it and nothing else.

mod normal;
mod readme;
mod terminal;

use normal::{Table, normal};
use readme::{Block, Fence, section};
use std::fs;
use terminal::Terminal;

use mm_tests::binaries::workspace;

/// Where the commands of the README are run, and what they start there.
struct Tour {
    terminal: Terminal,
    /// How much of what the show and the listener have printed the README has shown so far.
    shown: [usize; 2],
}

/// Whose lines are compared.
#[derive(Clone, Copy)]
enum Printer {
    Show,
    Listener,
}

impl Tour {
    fn new(files: &[(&str, &str)]) -> Self {
        let terminal = Terminal::new(&[("127.0.0.1", "$HOST")]);
        for (name, text) in files {
            terminal.write(name, text);
        }
        Self { terminal, shown: [0, 0] }
    }

    fn go_through(&mut self, block: &Block) {
        for (command, expected) in &block.commands {
            match command.as_str() {
                "mm-supervisor fade.cfg" => {
                    self.terminal.start_show(command);
                    self.expect(Printer::Show, expected);
                }
                "python3 osc.py listen" => {
                    self.terminal.start_listener(command, 9000);
                    self.expect(Printer::Listener, expected);
                }
                command => {
                    let printed = self.terminal.run(command);
                    assert_eq!(
                        table(&printed),
                        table(expected),
                        "`{command}` prints\n{}",
                        printed.join("\n")
                    );
                }
            }
        }
        let by_show = block.printed.iter().all(|line| normal::has_time(line));
        self.expect(if by_show { Printer::Show } else { Printer::Listener }, &block.printed);
    }

    /// The next lines of the show or of the listener are these.
    fn expect(&mut self, printer: Printer, lines: &[String]) {
        let from = self.shown[printer as usize];
        let printed = match printer {
            Printer::Show => self.terminal.show_lines(from, lines.len()),
            Printer::Listener => self.terminal.listener_lines(from, lines.len()),
        };
        assert_eq!(by_level(&printed), by_level(lines), "printed:\n{}", printed.join("\n"));
        self.shown[printer as usize] += lines.len();
    }
}

/// What a script leaves when it dies comes through another pipe than the notice of its end: each is in
/// order, but either may be read first.
fn by_level(lines: &[String]) -> (Vec<String>, Vec<String>) {
    table(lines).into_iter().partition(|line| line.contains(" WARN "))
}

fn table(lines: &[String]) -> Vec<String> {
    let mut table = Table::default();
    lines.iter().map(|line| table.normal(line)).collect()
}

fn readme() -> String {
    fs::read_to_string(workspace().join("README.md")).expect("the README")
}

#[test]
fn the_tour_prints_what_the_readme_shows() {
    let readme = readme();
    let tour = section(&readme, "## A show from scratch");
    let running = section(&readme, "## A running show");
    let [show, script, peer] = &Fence::all(tour)[..] else { panic!("three files in the tour") };
    assert_eq!((show.language, script.language, peer.language), ("ini", "python", "python"));
    let files = [("fade.cfg", show.text), ("fade.py", script.text), ("osc.py", peer.text)];
    let mut reader = Tour::new(&files);
    let blocks = Block::all(tour).into_iter().chain(Block::all(running));
    // The reader has built the programs and set PATH.
    let blocks =
        blocks.filter(|block| block.commands.iter().all(|(command, _)| !command.starts_with("export ")));
    let blocks: Vec<Block> = blocks.collect();
    assert!(blocks.len() > 8, "{blocks:?}");
    blocks.iter().for_each(|block| reader.go_through(block));
    let unshown = reader.terminal.end();
    assert_eq!(
        unshown.len(),
        reader.shown[Printer::Show as usize],
        "the README does not show all: {unshown:?}"
    );
}

#[test]
fn the_demo_logs_what_the_readme_shows() {
    let readme = readme();
    let blocks = Block::all(section(&readme, "## Two commands"));
    let logged = blocks.iter().find(|block| block.printed.iter().any(|line| normal::has_time(line)));
    let logged = logged.expect("what the demo logs");
    let terminal = Terminal::new(&[("127.0.0.1", "$HOST"), ("8000", "8010"), ("9000", "9010")]);
    for name in ["demo.cfg", "demo_pattern.py", "demo_shape.py"] {
        let path = format!("config/examples/{name}");
        terminal.write(&path, &fs::read_to_string(workspace().join(&path)).expect("an example"));
    }
    let mut terminal = terminal;
    terminal.start_show("mm-supervisor --config config/examples/demo.cfg");
    let printed: Vec<String> =
        terminal.show_lines(0, logged.printed.len()).iter().map(|line| normal(line)).collect();
    for line in &logged.printed {
        // Two workers start side by side.
        assert!(printed.contains(&normal(line)), "{line}\nis not in\n{}", printed.join("\n"));
    }
}
