//! Writes archives and pickles as torch does, and ones that it never would.

/// A tensor of a state dict.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) name: String,
    /// Name of the class of its storage.
    pub(super) class: &'static str,
    pub(super) key: String,
    /// Number of elements of its storage.
    pub(super) len: u64,
    pub(super) offset: i64,
    pub(super) shape: Vec<u64>,
    pub(super) strides: Vec<u64>,
    /// Whether it was a Parameter.
    pub(super) parameter: bool,
}

impl Stored {
    /// A whole storage.
    pub(super) fn new(name: &str, class: &'static str, key: &str, shape: &[u64]) -> Self {
        let mut strides = vec![1; shape.len()];
        for at in (1..shape.len()).rev() {
            strides[at - 1] = strides[at] * shape[at];
        }
        Stored {
            name: name.into(),
            class,
            key: key.into(),
            len: shape.iter().product(),
            offset: 0,
            shape: shape.to_vec(),
            strides,
            parameter: false,
        }
    }
}

/// The instructions of a pickle.
#[derive(Debug, Default)]
pub(super) struct Pickle(pub(super) Vec<u8>);

impl Pickle {
    pub(super) fn new() -> Self {
        Pickle(vec![0x80, 2])
    }

    pub(super) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    pub(super) fn text(self, text: &str) -> Self {
        let len = (text.len() as u32).to_le_bytes();
        self.raw(b"X").raw(&len).raw(text.as_bytes())
    }

    pub(super) fn number(self, number: i64) -> Self {
        match number {
            0..=0xFF => self.raw(&[b'K', number as u8]),
            0x100..=0xFFFF => self.raw(b"M").raw(&(number as u16).to_le_bytes()),
            _ => match i32::try_from(number) {
                Ok(number) => self.raw(b"J").raw(&number.to_le_bytes()),
                Err(_) => self.raw(&[0x8a, 8]).raw(&number.to_le_bytes()),
            },
        }
    }

    pub(super) fn numbers(self, numbers: &[u64]) -> Self {
        let all = numbers
            .iter()
            .fold(self.raw(b"("), |p, number| p.number(*number as i64));
        all.raw(b"t")
    }

    pub(super) fn ordered(self) -> Self {
        self.raw(b"ccollections\nOrderedDict\n)R")
    }

    pub(super) fn tensor(self, tensor: &Stored) -> Self {
        let pickle = match tensor.parameter {
            true => self.raw(b"ctorch._utils\n_rebuild_parameter\n("),
            false => self,
        };
        let pickle = pickle
            .raw(b"ctorch._utils\n_rebuild_tensor_v2\n((")
            .text("storage")
            .raw(format!("ctorch\n{}\n", tensor.class).as_bytes())
            .text(&tensor.key)
            .text("cpu")
            .number(tensor.len as i64)
            .raw(b"tQ")
            .number(tensor.offset)
            .numbers(&tensor.shape)
            .numbers(&tensor.strides)
            .raw(b"\x89")
            .ordered()
            .raw(b"tR");
        match tensor.parameter {
            true => pickle.raw(b"\x88").ordered().raw(b"tR"),
            false => pickle,
        }
    }

    /// A whole state dict.
    pub(super) fn state(tensors: &[Stored]) -> Vec<u8> {
        let start = Pickle::new().ordered().raw(b"q\x00(");
        let items = tensors
            .iter()
            .fold(start, |pickle, tensor| pickle.text(&tensor.name).tensor(tensor));
        // The versions of modules, as an attribute.
        let end = items.raw(b"u}q\x01").text("_metadata").ordered();
        let end = end
            .text("")
            .raw(b"}")
            .text("version")
            .number(1)
            .raw(b"ssr\x02\0\0\0sb.");
        end.0
    }
}

/// How an archive is written.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct How {
    /// zip64's records at the end, as torch writes them.
    pub(super) zip64: bool,
    /// Sizes after the data, as torch writes them.
    pub(super) streamed: bool,
    pub(super) method: u16,
    pub(super) flags: u16,
}

/// An archive whose entries are at multiples of 64.
pub(super) fn zip(entries: &[(String, Vec<u8>)], how: How) -> Vec<u8> {
    let mut file: Vec<u8> = Vec::new();
    let mut directory: Vec<u8> = Vec::new();
    let u16 = |n: usize| (n as u16).to_le_bytes();
    let u32 = |n: usize| (n as u32).to_le_bytes();
    let u64 = |n: usize| (n as u64).to_le_bytes();
    for (name, bytes) in entries {
        let header = file.len();
        let padding = (64 - (header + 30 + name.len() + 4) % 64) % 64;
        let flags = (how.flags | if how.streamed { 8 } else { 0 }).to_le_bytes();
        let local = if how.streamed { 0 } else { bytes.len() };
        file.extend(b"PK\x03\x04\0\0");
        file.extend([flags, how.method.to_le_bytes(), [0; 2], [0; 2], [0; 2], [0; 2]].concat());
        file.extend([u32(local), u32(local)].concat());
        file.extend([u16(name.len()), u16(4 + padding)].concat());
        file.extend(name.as_bytes());
        file.extend([*b"FB", u16(padding)].concat());
        file.extend(vec![b'Z'; padding]);
        file.extend(bytes);
        if how.streamed {
            file.extend([*b"PK\x07\x08", [0; 4], u32(bytes.len()), u32(bytes.len())].concat());
        }
        directory.extend(b"PK\x01\x02\0\0\0\0");
        directory.extend([flags, how.method.to_le_bytes(), [0; 2], [0; 2], [0; 2], [0; 2]].concat());
        directory.extend([u32(bytes.len()), u32(bytes.len())].concat());
        directory.extend([u16(name.len()), [0; 2], [0; 2], [0; 2], [0; 2], [0; 2], [0; 2]].concat());
        directory.extend(u32(header));
        directory.extend(name.as_bytes());
    }
    let (start, len) = (file.len(), directory.len());
    file.extend(directory);
    let count = entries.len();
    if how.zip64 {
        let end = file.len();
        file.extend(b"PK\x06\x06");
        file.extend([u64(44), [0; 8]].concat());
        file.extend([0; 4]);
        file.extend([u64(count), u64(count), u64(len), u64(start)].concat());
        file.extend(b"PK\x06\x07\0\0\0\0");
        file.extend(u64(end));
        file.extend([1, 0, 0, 0]);
    }
    file.extend(b"PK\x05\x06\0\0\0\0");
    file.extend([u16(count), u16(count)].concat());
    file.extend([u32(len), u32(start), [0; 4]].concat()[..10].iter());
    file
}

/// The entries of a file of torch's.
pub(super) fn entries(pickle: Vec<u8>, storages: &[(&str, Vec<u8>)]) -> Vec<(String, Vec<u8>)> {
    let named = |name: &str, bytes: &[u8]| (format!("archive/{name}"), bytes.to_vec());
    let mut entries = vec![named("data.pkl", &pickle), named("byteorder", b"little")];
    entries.extend(
        storages
            .iter()
            .map(|(key, bytes)| named(&format!("data/{key}"), bytes)),
    );
    entries.push(named("version", b"3\n"));
    entries
}

/// As torch writes it.
pub(super) const TORCH: How = How {
    zip64: true,
    streamed: true,
    method: 0,
    flags: 0x0800,
};
