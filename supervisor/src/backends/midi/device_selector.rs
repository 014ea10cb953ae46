//! Which device is meant by what the show says. Pure.

use super::port::Device;

/// A device that the show asks for.
#[derive(Debug)]
pub struct DeviceSelector {
    /// As it stands in the show: what a name begins with, or `client:port` in numbers.
    pub text: String,
    /// Whether it is given in numbers. They change; then the name that it had counts.
    by_number: bool,
    /// The device that was found last.
    found: Option<Device>,
    /// Others of its name that were there when it was lost: it is none of them.
    others: Vec<String>,
}

impl DeviceSelector {
    pub fn new(text: &str) -> Self {
        let number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let by_number = text.split_once(':').is_some_and(|(client, port)| number(client) && number(port));
        Self { text: text.to_owned(), by_number, found: None, others: Vec::new() }
    }

    /// The device that is meant, if it is there.
    pub fn choose(&mut self, devices: &[Device]) -> Option<Device> {
        let chosen = self.again(devices).or_else(|| self.first(devices)).cloned();
        match &chosen {
            Some(device) => {
                self.others = keys_of_name(devices, device.name()).filter(|key| *key != device.key).collect();
                self.found = Some(device.clone());
            }
            // one that went away and came back is not one of those which stayed
            None => self.others.retain(|key| devices.iter().any(|device| device.key == *key)),
        }
        chosen
    }

    /// The device that was found before: where it was, or else elsewhere.
    fn again<'a>(&self, devices: &'a [Device]) -> Option<&'a Device> {
        let found = self.found.as_ref()?;
        let mut same = devices.iter().filter(|device| device.name() == found.name());
        let there = same.clone().find(|device| device.key == found.key);
        there.or_else(|| same.find(|device| !self.others.contains(&device.key)))
    }

    /// The first that the text fits, the better fits first.
    fn first<'a>(&self, devices: &'a [Device]) -> Option<&'a Device> {
        if self.by_number {
            let here = devices.iter().find(|device| device.key == self.text);
            // another device may have got its number meanwhile
            return here.filter(|_| self.found.is_none());
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

    fn chosen(wanted: &mut DeviceSelector, devices: &[Device]) -> Option<String> {
        wanted.choose(devices).map(|device| device.key)
    }

    #[test]
    fn a_name_fits_whole_before_it_fits_by_its_beginning() {
        let devices = [device("20:0", "Launchpad Pro"), device("24:0", "Launchpad")];
        assert_eq!(chosen(&mut DeviceSelector::new("Launchpad"), &devices).unwrap(), "24:0");
        assert_eq!(chosen(&mut DeviceSelector::new("Launch"), &devices).unwrap(), "20:0");
        assert_eq!(chosen(&mut DeviceSelector::new("Launchpad:Launchpad MIDI"), &devices).unwrap(), "24:0");
        assert_eq!(chosen(&mut DeviceSelector::new("launch"), &devices), None);
    }

    #[test]
    fn a_device_is_found_again_under_another_number() {
        for text in ["Pad", "20:0"] {
            let mut wanted = DeviceSelector::new(text);
            assert_eq!(chosen(&mut wanted, &[device("20:0", "Pad")]).unwrap(), "20:0");
            assert_eq!(chosen(&mut wanted, &[]), None);
            assert_eq!(chosen(&mut wanted, &[device("28:0", "Pad")]).unwrap(), "28:0");
        }
    }

    #[test]
    fn a_number_that_another_device_has_got_is_not_followed() {
        let mut wanted = DeviceSelector::new("20:0");
        assert!(chosen(&mut wanted, &[device("20:0", "Pad")]).is_some());
        assert_eq!(chosen(&mut wanted, &[device("20:0", "Keys")]), None);
        assert_eq!(chosen(&mut wanted, &[device("20:0", "Keys"), device("24:0", "Pad")]).unwrap(), "24:0");
    }

    #[test]
    fn a_device_by_number_is_not_confused_with_another_of_its_name() {
        let (one, two) = (device("20:0", "Pad"), device("24:0", "Pad"));
        let mut wanted = DeviceSelector::new("24:0");
        assert_eq!(chosen(&mut wanted, &[one.clone(), two]).unwrap(), "24:0");
        assert_eq!(chosen(&mut wanted, std::slice::from_ref(&one)), None);
        assert_eq!(chosen(&mut wanted, &[one, device("28:0", "Pad")]).unwrap(), "28:0");
    }
}
