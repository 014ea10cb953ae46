//! Selects the device that `read` or `write` asks for. Pure.

use super::port::Device;

/// Finds one device, and finds it again.
#[derive(Debug)]
pub struct DeviceSelector {
    /// The text in the show: the beginning of a name, or `client:port` in numbers.
    pub text: String,
    /// Whether the text is numbers. Numbers change when a device is plugged in again; then the name
    /// that it had identifies it.
    by_number: bool,
    /// The device that was selected last.
    found: Option<Device>,
    /// Keys of other devices of its name that were present with it.
    others: Vec<String>,
}

impl DeviceSelector {
    pub fn new(text: &str) -> Self {
        let number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let by_number = text.split_once(':').is_some_and(|(client, port)| number(client) && number(port));
        Self { text: text.to_owned(), by_number, found: None, others: Vec::new() }
    }

    /// The device that the text means, if it is present.
    pub fn select(&mut self, devices: &[Device]) -> Option<Device> {
        let selected = self.same_as_before(devices).or_else(|| self.first_match(devices)).cloned();
        match &selected {
            Some(device) => {
                self.others = keys_of_name(devices, device.name()).filter(|key| *key != device.key).collect();
                self.found = Some(device.clone());
            }
            // A device that went away and came back is not one of those that stayed.
            None => self.others.retain(|key| devices.iter().any(|device| device.key == *key)),
        }
        selected
    }

    /// The device that was selected before: under its key, or else under another one.
    fn same_as_before<'a>(&self, devices: &'a [Device]) -> Option<&'a Device> {
        let found = self.found.as_ref()?;
        let mut same = devices.iter().filter(|device| device.name() == found.name());
        let in_place = same.clone().find(|device| device.key == found.key);
        in_place.or_else(|| same.find(|device| !self.others.contains(&device.key)))
    }

    /// The first device that matches; whole names before beginnings, better names before others.
    fn first_match<'a>(&self, devices: &'a [Device]) -> Option<&'a Device> {
        if self.by_number {
            let device = devices.iter().find(|device| device.key == self.text);
            // In the meantime another device may have got its number.
            return device.filter(|_| self.found.is_none());
        }
        let most = devices.iter().map(|device| device.names.len()).max().unwrap_or(0);
        let by = |fits: &dyn Fn(&str) -> bool| {
            let rank = |rank: usize| {
                devices.iter().find(move |device| device.names.get(rank).is_some_and(|name| fits(name)))
            };
            (0..most).find_map(rank)
        };
        by(&|name| name == self.text).or_else(|| by(&|name| name.starts_with(&self.text)))
    }
}

fn keys_of_name<'a>(devices: &'a [Device], name: &'a str) -> impl Iterator<Item = String> + 'a {
    devices.iter().filter(move |device| device.name() == name).map(|device| device.key.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(key: &str, name: &str) -> Device {
        Device { key: key.into(), names: vec![format!("{name}:{name} MIDI 1"), name.into()] }
    }

    fn selected(selector: &mut DeviceSelector, devices: &[Device]) -> Option<String> {
        selector.select(devices).map(|device| device.key)
    }

    #[test]
    fn a_name_fits_whole_before_it_fits_by_its_beginning() {
        let devices = [device("20:0", "Launchpad Pro"), device("24:0", "Launchpad")];
        assert_eq!(selected(&mut DeviceSelector::new("Launchpad"), &devices).unwrap(), "24:0");
        assert_eq!(selected(&mut DeviceSelector::new("Launch"), &devices).unwrap(), "20:0");
        assert_eq!(selected(&mut DeviceSelector::new("Launchpad:Launchpad MIDI"), &devices).unwrap(), "24:0");
        assert_eq!(selected(&mut DeviceSelector::new("launch"), &devices), None);
    }

    #[test]
    fn a_device_is_found_again_under_another_number() {
        for text in ["Pad", "20:0"] {
            let mut selector = DeviceSelector::new(text);
            assert_eq!(selected(&mut selector, &[device("20:0", "Pad")]).unwrap(), "20:0");
            assert_eq!(selected(&mut selector, &[]), None);
            assert_eq!(selected(&mut selector, &[device("28:0", "Pad")]).unwrap(), "28:0");
        }
    }

    #[test]
    fn a_number_that_another_device_has_got_is_not_followed() {
        let mut selector = DeviceSelector::new("20:0");
        assert!(selected(&mut selector, &[device("20:0", "Pad")]).is_some());
        assert_eq!(selected(&mut selector, &[device("20:0", "Keys")]), None);
        assert_eq!(
            selected(&mut selector, &[device("20:0", "Keys"), device("24:0", "Pad")]).unwrap(),
            "24:0"
        );
    }

    #[test]
    fn a_device_by_number_is_not_confused_with_another_of_its_name() {
        let (one, two) = (device("20:0", "Pad"), device("24:0", "Pad"));
        let mut selector = DeviceSelector::new("24:0");
        assert_eq!(selected(&mut selector, &[one.clone(), two]).unwrap(), "24:0");
        assert_eq!(selected(&mut selector, std::slice::from_ref(&one)), None);
        assert_eq!(selected(&mut selector, &[one, device("28:0", "Pad")]).unwrap(), "28:0");
    }
}
