//! How fast events are routed, from what comes in to the targets of each.
//!
//! `cargo bench -p mm-supervisor --bench router`. Throughput is in events. Every allocation is
//! counted: in a turn that is like the one before there must be none.

use divan::counter::ItemsCount;
use divan::{AllocProfiler, Bencher, black_box};
use mm_shared::ChannelId;
use mm_supervisor::backends::Incoming;
use mm_supervisor::ids::InstanceId;
use mm_supervisor::router::Router;
use mm_supervisor::router::table::RouteTable;
use mm_supervisor::show::LiveShow;
use mm_supervisor::show_file::load_text;
use std::path::Path;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// Events that come in before they are routed.
const TURN: u32 = 64;

/// So many channels of one instance, each with so many targets.
fn router(channels: u32, targets: u32) -> Router {
    let last = channels - 1;
    let mappings: String =
        (0..targets).map(|n| format!("a.x{{0..{last}}} > b{n}.y{{0..{last}}}\n")).collect();
    let instances: String = (0..targets).map(|n| format!("[loopback b{n}]\n")).collect();
    let text = format!("[loopback a]\n{instances}[map]\n{mappings}");
    let loaded = load_text(Path::new("/show.cfg"), &text);
    assert!(!loaded.diagnostics.has_errors(), "{}", loaded.diagnostics.render(false));
    Router::new(RouteTable::new(&LiveShow::new(loaded.show)))
}

fn turn(router: &mut Router, channels: u32, next: &mut u32) {
    for _ in 0..TURN {
        *next = (*next + 1) % channels;
        router.accept(black_box(Incoming { instance: InstanceId(0), channel: ChannelId(*next), value: 0.5 }));
    }
    while let Some(routed) = router.next_event() {
        black_box(routed.targets.len());
    }
}

/// The cost of an event must not grow with the number of channels, but for the caches of the
/// processor.
#[divan::bench(args = [1, 64, 512, 4096, 65_536])]
fn one_target_by_channels(bencher: Bencher, channels: u32) {
    let (mut router, mut next) = (router(channels, 1), 0);
    bencher.counter(ItemsCount::new(TURN)).bench_local(|| turn(&mut router, channels, &mut next));
}

#[divan::bench(args = [1, 4, 16])]
fn by_targets(bencher: Bencher, targets: u32) {
    let (mut router, mut next) = (router(64, targets), 0);
    bencher.counter(ItemsCount::new(TURN)).bench_local(|| turn(&mut router, 64, &mut next));
}
