//! What tests talk to: a backend that only has sockets, and another program on the same port.

use super::super::*;
use super::namespace::{TIMEOUT, wait_until};
use crate::backends::test_loop::TestLoop;
use crate::backends::{Backend, BackendContext, BackendStatus, LocalInstance, SourceId, TimerId};
use crate::resolver::ResolvedHost;
use mm_shared::ChannelId;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, SockaddrIn, bind, sendmsg, setsockopt,
    socket, sockopt,
};
use socket2::{InterfaceIndexOrAddress, SockRef};
use std::io::IoSlice;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

pub const PORT: u16 = 5568;

/// A datagram as a test sees it: for which bind, its text, and the address that it was sent to.
pub type Seen = (usize, String, [u8; 4]);

/// A backend that keeps what it receives.
pub struct NetBackend {
    pub sockets: DmxSockets,
    pub seen: Vec<Seen>,
    /// How many datagrams it takes per call.
    pub room: usize,
}

impl Backend for NetBackend {
    fn start(&mut self, cx: &mut BackendContext<'_>) -> std::io::Result<()> {
        self.sockets.start(Instant::now(), cx)?;
        cx.set_timer(TimerId(0), self.sockets.deadline());
        Ok(())
    }

    fn on_ready(&mut self, source: SourceId, _budget: usize, cx: &mut BackendContext<'_>) {
        let (seen, mut room) = (&mut self.seen, self.room);
        let calls_again = self.sockets.receive(source, Instant::now(), |bind, datagram| {
            let text = String::from_utf8_lossy(datagram.bytes).into_owned();
            seen.push((bind.0, text, datagram.to.octets()));
            room -= 1;
            room > 0
        });
        if calls_again {
            cx.call_again(source);
        }
        cx.set_timer(TimerId(0), self.sockets.deadline());
    }

    fn on_timer(&mut self, _timer: TimerId, now: Instant, cx: &mut BackendContext<'_>) {
        self.sockets.tick(now, cx);
        cx.set_timer(TimerId(0), self.sockets.deadline());
    }

    fn on_resolved(&mut self, answer: &ResolvedHost, cx: &mut BackendContext<'_>) {
        self.sockets.on_resolved(answer, Instant::now(), cx);
    }

    fn handle(&mut self, _: LocalInstance, _: ChannelId, _: f64, _: &mut BackendContext<'_>) {}

    fn status(&self, _: LocalInstance) -> BackendStatus {
        BackendStatus::default()
    }
}

/// The backend in its loop.
pub struct Net(pub TestLoop<NetBackend>);

impl Net {
    pub fn open(binds: &[&str]) -> Self {
        let sockets = DmxSockets::open("sacn", &specs(binds), Instant::now()).expect("the port is shared");
        let backend = NetBackend { sockets, seen: Vec::new(), room: usize::MAX };
        Self(TestLoop::start(Box::new(backend), Vec::new()))
    }

    pub fn join(&mut self, bind: usize, group: [u8; 4]) {
        self.0.with(|net, cx| net.sockets.join(BindIndex(bind), group.into(), Instant::now(), cx));
    }

    pub fn sockets(&mut self) -> &mut DmxSockets {
        &mut self.0.backend.sockets
    }

    pub fn send(&mut self, bind: usize, to: [u8; 4], text: &str) {
        let to = SocketAddrV4::new(to.into(), PORT);
        self.sockets().send(BindIndex(bind), to, text.as_bytes(), Instant::now());
    }

    pub fn flush(&mut self) {
        self.sockets().flush(Instant::now());
    }

    /// One turn of the loop, timers included.
    pub fn turn(&mut self) {
        self.0.receive(Duration::from_millis(2), usize::MAX);
        self.0.tick(Instant::now());
    }

    /// Turns the loop until a datagram with this text came, and returns all that came, sorted. What
    /// was sent before has come by then.
    pub fn until(&mut self, last: &str) -> Vec<Seen> {
        wait_until(last, || {
            self.turn();
            self.0.backend.seen.iter().any(|(_, text, _)| text == last)
        });
        while self.0.receive(Duration::ZERO, usize::MAX) {}
        let mut seen = std::mem::take(&mut self.0.backend.seen);
        seen.sort();
        seen
    }
}

pub fn specs(binds: &[&str]) -> Vec<BindSpec> {
    binds.iter().map(|bind| BindSpec::parse(bind, PORT).expect("the test is right").0).collect()
}

/// Another program, which shares the port.
pub struct Peer(UdpSocket);

impl Peer {
    pub fn open(address: [u8; 4]) -> Self {
        let flags = SockFlag::SOCK_CLOEXEC;
        let descriptor = socket(AddressFamily::Inet, SockType::Datagram, flags, None).expect("a socket");
        let socket = UdpSocket::from(descriptor);
        setsockopt(&socket, sockopt::ReuseAddr, &true).expect("an option");
        setsockopt(&socket, sockopt::Broadcast, &true).expect("an option");
        setsockopt(&socket, sockopt::RcvBufForce, &(32 << 20)).expect("an option");
        let local = SocketAddrV4::new(address.into(), PORT);
        bind(socket.as_raw_fd(), &SockaddrIn::from(local)).expect("the port is shared");
        socket.set_read_timeout(Some(TIMEOUT)).expect("an option");
        Self(socket)
    }

    pub fn join(&self, group: [u8; 4], interface: &str) {
        let index = InterfaceIndexOrAddress::Index(index_of(interface));
        SockRef::from(&self.0).join_multicast_v4_n(&group.into(), &index).expect("a membership");
    }

    /// Sends through an interface.
    pub fn send(&self, to: [u8; 4], interface: &str, text: &str) {
        let info = libc::in_pktinfo {
            ipi_ifindex: index_of(interface).cast_signed(),
            ipi_spec_dst: libc::in_addr { s_addr: 0 },
            ipi_addr: libc::in_addr { s_addr: 0 },
        };
        let (control, slices) = ([ControlMessage::Ipv4PacketInfo(&info)], [IoSlice::new(text.as_bytes())]);
        let to = SockaddrIn::from(SocketAddrV4::new(to.into(), PORT));
        sendmsg(self.0.as_raw_fd(), &slices, &control, MsgFlags::empty(), Some(&to)).expect("it is sent");
    }

    /// The next datagram.
    pub fn next(&self) -> (String, Ipv4Addr) {
        let mut buffer = [0; 2048];
        let (length, from) = self.0.recv_from(&mut buffer).expect("it comes in time");
        let std::net::SocketAddr::V4(from) = from else { panic!("IPv4") };
        assert_eq!(from.port(), PORT);
        (String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).into_owned(), *from.ip())
    }
}

fn index_of(interface: &str) -> u32 {
    if interface.is_empty() {
        return 0;
    }
    let table = InterfaceTable::read().expect("the kernel answers");
    table.by_name(interface).map(|found| found.index).expect("the test has made it")
}
