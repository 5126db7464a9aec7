//! What a stored state is of: everything that makes it unusable elsewhere goes into one digest.

use std::ops::Range;

use sha2::{Digest, Sha256};
use siskin_model::files::FileError;
use siskin_model::gguf::ModelFile;

/// Bytes of each tensor that are hashed: models of one family have the same header and differ in every tensor.
const SAMPLE: u64 = 64;

/// What a state depends on besides its tokens. A text is compared byte by byte; its form does not matter.
#[derive(Debug, Clone, Copy)]
pub struct Key<'a> {
    /// What [`fingerprint`] gave for the model's file.
    pub model: [u8; 32],
    /// llama.cpp's version: it may change the file's form.
    pub llama_cpp: &'a str,
    /// siskin's version: its kernels make the keys and values.
    pub siskin: &'a str,
    /// Type of keys and values.
    pub cache_type: &'a str,
    /// Whether flash attention is on: without it values are kept in another order.
    pub flash_attention: &'a str,
    /// How sequences share the cache.
    pub layout: &'a str,
    /// Buffers of the cache: 1 if the layout is unified, else the number of sequences.
    pub buffers: u32,
    /// Which kernels compute: others round in another way.
    pub kernels: &'a str,
    /// Settings of the positions that are not the file's own, e.g. a scale.
    pub rope: &'a str,
    /// Adapters, each with its scale, in order. None so far.
    pub adapters: &'a [&'a str],
}

/// The digest of a [`Key`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId(pub(super) [u8; 32]);

/// Whose prefixes: a model with its settings, and those who may see each other's. That a prefix is there shortens an
/// answer, which tells whoever measures it; so each key of the service has its own namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scope {
    /// The model with its settings.
    pub key: KeyId,
    /// Those who share.
    pub namespace: u64,
}

impl Key<'_> {
    /// The key's digest.
    pub fn id(&self) -> KeyId {
        let mut hash = Sha256::new();
        let mut add = |field: &[u8]| {
            // With its length, so that no two lists of fields are the same bytes.
            hash.update((field.len() as u64).to_le_bytes());
            hash.update(field);
        };
        add(b"siskin prefix 1");
        add(&self.model);
        add(&self.buffers.to_le_bytes());
        for text in [
            self.llama_cpp,
            self.siskin,
            self.cache_type,
            self.flash_attention,
            self.layout,
            self.kernels,
            self.rope,
        ] {
            add(text.as_bytes());
        }
        for adapter in self.adapters {
            add(adapter.as_bytes());
        }
        KeyId(hash.finalize().into())
    }
}

/// Which model a file is: a digest of its headers, its sizes and some bytes of every tensor. It reads little, so it does
/// not find a byte that was changed elsewhere.
///
/// # Errors
/// The file cannot be read.
pub fn fingerprint(model: &ModelFile) -> Result<[u8; 32], FileError> {
    let (files, header) = (&model.files, &model.header);
    let mut hash = Sha256::new();
    let mut bytes = Vec::new();
    let mut add = |index: usize, range: Range<u64>, hash: &mut Sha256| {
        files.read_into(index, range, &mut bytes)?;
        hash.update(&bytes);
        Ok(())
    };
    for index in 0..files.count() {
        hash.update(files.len(index).to_le_bytes());
    }
    // The header in pieces: a vocabulary has some megabytes.
    let end = header.data_start.min(files.len(0));
    let mut position = 0;
    while position < end {
        let next = (position + (1 << 20)).min(end);
        add(0, position..next, &mut hash)?;
        position = next;
    }
    for tensor in &header.tensors {
        let range = header.range(tensor);
        // From the middle: the first rows of an embedding are of tokens that no text has.
        let start = range.start + (range.end - range.start) / 2;
        let (index, start_in_file) = files.locate(start);
        let most = range.end.min(start + SAMPLE) - start;
        let end = (start_in_file + most).min(files.len(index));
        hash.update(tensor.name.as_bytes());
        add(index, start_in_file..end, &mut hash)?;
    }
    Ok(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const KEY: Key<'static> = Key {
        model: [7; 32],
        llama_cpp: "b1",
        siskin: "0.1.0",
        cache_type: "f16",
        flash_attention: "on",
        layout: "unified",
        buffers: 1,
        kernels: "siskin",
        rope: "",
        adapters: &[],
    };

    #[test]
    fn every_field_makes_another_key() {
        let keys = [
            KEY,
            Key {
                model: [8; 32],
                ..KEY
            },
            Key {
                llama_cpp: "b2",
                ..KEY
            },
            Key {
                siskin: "0.1.1",
                ..KEY
            },
            Key {
                cache_type: "q8_0",
                ..KEY
            },
            Key {
                flash_attention: "off",
                ..KEY
            },
            Key {
                layout: "separate",
                ..KEY
            },
            Key { buffers: 2, ..KEY },
            Key {
                kernels: "ggml",
                ..KEY
            },
            Key {
                rope: "scale 2",
                ..KEY
            },
            Key {
                adapters: &["a"],
                ..KEY
            },
            Key {
                adapters: &["a", "b"],
                ..KEY
            },
            Key {
                adapters: &["b", "a"],
                ..KEY
            },
            Key {
                adapters: &["ab"],
                ..KEY
            },
            // The same bytes in other fields.
            Key {
                kernels: "",
                rope: "siskin",
                ..KEY
            },
        ];
        let ids: HashSet<KeyId> = keys.iter().map(Key::id).collect();
        assert_eq!(ids.len(), keys.len());
        assert_eq!(KEY.id(), KEY.id());
    }

    #[test]
    fn a_fingerprint_is_the_files_whatever_its_name_and_sees_a_change_in_every_tensor() {
        let folder = tempfile::tempdir().expect("a folder");
        let [a, b] = ["a.gguf", "b.gguf"].map(|name| folder.path().join(name));
        let bytes = siskin_runtime::STORYTELLER;
        std::fs::write(&a, bytes).expect("written");
        std::fs::write(&b, bytes).expect("written");
        let print =
            |path: &std::path::Path| fingerprint(&ModelFile::open(path).expect("a model")).expect("read");
        let first = print(&a);
        assert_eq!(first, print(&b));
        let header = ModelFile::open(&a).expect("a model").header;
        let last = header.tensors.last().expect("tensors");
        let range = header.range(last);
        let middle = usize::try_from(range.start + (range.end - range.start) / 2).expect("small");
        // In the middle of a tensor, in the header (a letter of a text at its end), and one byte more.
        let mut changed = bytes.to_vec();
        changed[middle] ^= 1;
        std::fs::write(&b, &changed).expect("written");
        assert_ne!(first, print(&b));
        std::fs::write(&b, [bytes, &[0]].concat()).expect("written");
        assert_ne!(first, print(&b));
    }
}
