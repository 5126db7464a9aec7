//! The bound set by memory: a decoded token reads its bytes once, so bandwidth divided by bytes bounds the
//! speed.

use super::result::{Kind, Run};

/// A device that was not measured here, and the bandwidth that decoding was observed to reach on it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Device {
    /// Its name, as in `targets/`.
    pub name: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// Bytes a second that decoding reached: the lowest and the highest published figure.
    pub decode_bytes_per_second: (f64, f64),
    /// The publication.
    pub source: &'static str,
}

/// Devices with published figures, sorted by name.
pub const DEVICES: [Device; 1] = [Device {
    name: "raspberry-pi-5",
    title: "Raspberry Pi 5",
    decode_bytes_per_second: (9.8e9, 10.5e9),
    source: "ggml-org/llama.cpp#26484, Q2_K to Q8_0",
}];

impl Device {
    /// The device with this name.
    pub fn named(name: &str) -> Option<Device> {
        DEVICES.into_iter().find(|device| device.name == name)
    }

    /// The bounds of the decode speed in tokens a second; `None` for prefill, which memory does not bound.
    pub fn bound(&self, run: &Run) -> Option<(f64, f64)> {
        let bytes = run
            .bytes_read_per_token
            .filter(|&bytes| bytes > 0 && run.test.kind == Kind::Decode)? as f64;
        let (low, high) = self.decode_bytes_per_second;
        Some((low / bytes, high / bytes))
    }
}
