//! Where a worker listens when the supervisor's runtime directory is gone. A process chooses the
//! place once, so this is a process of its own.

use mm_shared::control::ToWorker;
use mm_shared::control_link::{ToWorkerConnector, ToWorkerListener};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

#[test]
fn without_the_runtime_directory_a_worker_listens_in_a_private_one_elsewhere() {
    let gone = tempfile::tempdir().expect("writable").path().join("gone");
    let listener = ToWorkerListener::new(&gone).expect("there is another place");
    let address = listener.address().to_owned();
    let private = Path::new(&address).ancestors().nth(2).expect("two directories").to_owned();
    let mode = fs::metadata(&private).expect("it exists").permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "{}", private.display());
    let connector = ToWorkerConnector::new(&gone).expect("there is another place");
    let mut sender = connector.connect(&address).expect("it listens");
    sender.send(&ToWorker::Stop).expect("it is there");
    let receiver = listener.accept().expect("the supervisor has connected");
    assert!(matches!(receiver.recv(), Ok(ToWorker::Stop)));
    assert!(!private.exists());
}
