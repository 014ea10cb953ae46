//! The names of the instance's channels and their numbers.
//!
//! Names live in a Python dictionary: a name in a script is nearly always a literal, whose hash
//! Python has already computed and which compares by identity, so a look-up costs the same for ten
//! channels and for ten thousand.

use super::values::ChannelValues;
use mm_shared::ChannelId;
use mm_shared::control::{Boot, NameAllowance, NameError};
use pyo3::exceptions::PyValueError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};
use std::sync::{Mutex, PoisonError};

/// All channels of the instance: those of the show first, then those that the script added.
pub struct Channels {
    /// Name to number, in the order of the numbers.
    numbers: Py<PyDict>,
    /// Number to name.
    names: Py<PyList>,
    values: ChannelValues,
    added: Mutex<Added>,
}

struct Added {
    /// How many channels there are.
    count: u32,
    /// What the script may still add.
    allowance: NameAllowance,
}

/// The outcome of adding a name.
pub enum AddOutcome {
    /// It was known, perhaps because another thread has just added it.
    Known(ChannelId),
    /// It is known from now on.
    New { channel: ChannelId, name: String },
    /// There are too many names.
    Full,
}

impl Channels {
    /// The channels that the supervisor knows.
    pub fn new(py: Python<'_>, boot: &Boot) -> PyResult<Channels> {
        let numbers = PyDict::new(py);
        let names = PyList::empty(py);
        for (number, channel) in boot.channels.iter().enumerate() {
            let name = PyString::intern(py, &channel.name);
            numbers.set_item(&name, number)?;
            names.append(name)?;
        }
        let (count, allowance) = (u32::try_from(boot.channels.len())?, boot.allowance);
        let values = boot.channels.iter().map(|channel| (channel.input, channel.output));
        Ok(Channels {
            numbers: numbers.unbind(),
            names: names.unbind(),
            values: ChannelValues::new(values, allowance.names),
            added: Mutex::new(Added { count, allowance }),
        })
    }

    /// The last values.
    pub fn values(&self) -> &ChannelValues {
        &self.values
    }

    /// The channel of a name.
    pub fn find(&self, name: &Bound<'_, PyString>) -> PyResult<Option<ChannelId>> {
        match self.numbers.bind(name.py()).get_item(name)? {
            Some(number) => Ok(Some(ChannelId(number.extract()?))),
            None => Ok(None),
        }
    }

    /// The channel of a name, found in the fastest way; `None` also where the general way would
    /// raise.
    #[inline]
    pub fn find_fast(&self, name: &Bound<'_, PyString>) -> Option<ChannelId> {
        // SAFETY: both are live objects, and the lock is held; the look-up of an exact string runs
        // no other code
        let number = unsafe { ffi::PyDict_GetItemWithError(self.numbers.as_ptr(), name.as_ptr()) };
        if number.is_null() {
            return None;
        }
        // SAFETY: the dictionary has numbers only, and keeps its own: entries are never taken out
        u32::try_from(unsafe { ffi::PyLong_AsLong(number) }).ok().map(ChannelId)
    }

    /// The name of a channel.
    pub fn name<'py>(&self, py: Python<'py>, channel: ChannelId) -> Option<Bound<'py, PyAny>> {
        self.names.bind(py).get_item(channel.index()).ok()
    }

    /// The name of a channel, for messages.
    pub fn display(&self, py: Python<'_>, channel: ChannelId) -> String {
        self.name(py, channel).map_or_else(|| format!("#{channel}"), |name| name.to_string())
    }

    /// How many channels there are.
    pub fn len(&self) -> u32 {
        self.added.lock().unwrap_or_else(PoisonError::into_inner).count
    }

    /// All names, in the order of their numbers.
    pub fn list<'py>(&self, py: Python<'py>) -> Bound<'py, PyList> {
        self.names.bind(py).get_slice(0, usize::MAX)
    }

    /// Adds a name that the script sends on.
    pub fn add(&self, name: &Bound<'_, PyString>) -> PyResult<AddOutcome> {
        let text = name.to_str()?;
        // An exact str: a subclass could bring its own idea of equality into the dictionary.
        let key = PyString::new(name.py(), text);
        let mut added = self.added.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = self.find(&key)? {
            return Ok(AddOutcome::Known(channel));
        }
        let mut allowance = added.allowance;
        match allowance.take(text) {
            Ok(()) => {}
            Err(NameError::TooMany) => return Ok(AddOutcome::Full),
            Err(error) => return Err(PyValueError::new_err(error.to_string())),
        }
        self.names.bind(name.py()).append(&key)?;
        self.numbers.bind(name.py()).set_item(&key, added.count)?;
        let channel = ChannelId(added.count);
        *added = Added { count: added.count + 1, allowance };
        Ok(AddOutcome::New { channel, name: text.to_owned() })
    }
}
