//! A stranger on the network, which sends as fast as it can.

use super::packets;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Datagrams between two pauses.
const BURST: usize = 32;
/// 20,000 datagrams a second, so that the stranger leaves CPU time to the router.
const PAUSE: Duration = Duration::from_micros(1600);

/// Sends until it is dropped.
pub struct Stranger {
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Stranger {
    /// Levels of one universe, each time others.
    pub fn levels(port: u16, universe: usize) -> Self {
        let mut packet = packets::sacn(universe, 0x77);
        Self::start(port, move |number, send| {
            packets::fill(&mut packet, number, packets::SLOTS);
            send(&packet);
        })
    }

    /// What is not a packet of any protocol.
    pub fn garbage(port: u16, _universe: usize) -> Self {
        let mut bytes = [0; 200];
        Self::start(port, move |number, send| {
            for (place, byte) in bytes.iter_mut().enumerate() {
                *byte = (usize::from(number) * 31 + place * 17) as u8;
            }
            send(&bytes);
        })
    }

    fn start(port: u16, mut each: impl FnMut(u16, &dyn Fn(&[u8])) + Send + 'static) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&ends);
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        socket.connect(("127.0.0.1", port)).expect("an address");
        let thread = thread::spawn(move || {
            let mut number: u16 = 0;
            while !is_over.load(Ordering::Relaxed) {
                for _ in 0..BURST {
                    number = number.wrapping_add(1);
                    each(number, &|datagram| drop(socket.send(datagram)));
                }
                thread::sleep(PAUSE);
            }
        });
        Self { ends, thread: Some(thread) }
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
