//! The messages that wait to be sent, as the bytes of their datagrams, in order.
//!
//! A message is complete when its event has come, so whatever happens until it is sent, no later
//! event changes it. The bytes stand one behind the other, because the system takes consecutive
//! datagrams of one length as one block (see [`OscSocket::send`](super::socket::OscSocket::send)).

/// The most messages that wait in order.
pub const MESSAGES_LIMIT: usize = 8192;

/// The bytes of waiting messages at which no further one is accepted.
const BYTES_LIMIT: usize = 1 << 20;

/// A message of a path.
#[derive(Debug, Clone, Copy)]
struct QueuedMessage {
    /// The path's index; `None`: the show no longer has the path.
    path: Option<u32>,
    length: u32,
}

/// The place of a message until the next [`OscTxQueue::remove`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueuePlace(usize);

/// Messages in the order in which they were begun.
#[derive(Debug, Default)]
pub struct OscTxQueue {
    bytes: Vec<u8>,
    messages: Vec<QueuedMessage>,
}

impl OscTxQueue {
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Whether the bound is reached.
    pub fn is_full(&self) -> bool {
        self.messages.len() >= MESSAGES_LIMIT || self.bytes.len() >= BYTES_LIMIT
    }

    /// Adds a message behind all others.
    pub fn push(&mut self, path: u32, datagram: &[u8]) -> QueuePlace {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(datagram);
        self.messages.push(QueuedMessage { path: Some(path), length: datagram.len() as u32 });
        QueuePlace(start)
    }

    /// Replaces a message by one of the same length.
    pub fn replace(&mut self, place: QueuePlace, datagram: &[u8]) {
        if let Some(old) = self.bytes.get_mut(place.0..place.0 + datagram.len()) {
            old.copy_from_slice(datagram);
        }
    }

    /// The bytes of all messages, one behind the other.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The length of each message.
    pub fn lengths(&self) -> impl ExactSizeIterator<Item = usize> + Clone {
        self.messages.iter().map(|message| message.length as usize)
    }

    /// The length of a message, by its number from the front.
    pub fn length(&self, number: usize) -> Option<usize> {
        self.messages.get(number).map(|message| message.length as usize)
    }

    /// The path of a message, by its number from the front.
    pub fn path(&self, number: usize) -> Option<u32> {
        self.messages.get(number)?.path
    }

    /// Removes the first messages and calls `each` with their paths.
    pub fn remove(&mut self, count: usize, each: impl FnMut(u32)) {
        let count = count.min(self.messages.len());
        let length: usize = self.lengths().take(count).sum();
        self.messages.drain(..count).filter_map(|message| message.path).for_each(each);
        self.bytes.drain(..length);
    }

    /// The indices of paths are about to change; the messages themselves stay.
    pub fn forget_paths(&mut self) {
        self.messages.iter_mut().for_each(|message| message.path = None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_stay_in_order_and_are_removed_from_the_front() {
        let mut queue = OscTxQueue::default();
        let place = queue.push(7, b"aa");
        queue.push(8, b"bbbb");
        queue.push(7, b"cc");
        queue.replace(place, b"AA");
        assert_eq!((queue.bytes(), queue.lengths().collect()), (b"AAbbbbcc".as_slice(), vec![2, 4, 2]));
        let mut paths = Vec::new();
        queue.remove(2, |path| paths.push(path));
        assert_eq!((paths, queue.bytes()), (vec![7, 8], b"cc".as_slice()));
        queue.forget_paths();
        queue.remove(9, |_| panic!("the path is forgotten"));
        assert!(queue.is_empty());
    }

    #[test]
    fn the_queue_is_bounded_in_messages_and_in_bytes() {
        let mut queue = OscTxQueue::default();
        for count in 0..MESSAGES_LIMIT {
            assert!(!queue.is_full(), "after {count} messages");
            queue.push(0, &[0; 8]);
        }
        assert!(queue.is_full());
        queue.remove(1, |_| {});
        assert!(!queue.is_full());
        queue.push(0, &vec![0; BYTES_LIMIT]);
        assert!(queue.is_full());
    }
}
