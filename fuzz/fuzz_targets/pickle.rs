//! PyTorch's weights: the archive, its directory, and the pickle. If the first byte is even, the rest is a whole file;
//! else it is a pickle in an archive with two storages.
#![no_main]

use libfuzzer_sys::fuzz_target;
use siskin_quant::checkpoint::pickle::parse;

/// An archive of stored entries.
fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, bytes) in entries {
        let header = (file.len() as u32).to_le_bytes();
        let len = (bytes.len() as u32).to_le_bytes();
        let name_len = (name.len() as u16).to_le_bytes();
        file.extend(b"PK\x03\x04");
        file.extend([0; 14]);
        file.extend([&len[..], &len, &name_len, &[0; 2], name.as_bytes(), bytes].concat());
        directory.extend(b"PK\x01\x02");
        directory.extend([0; 16]);
        directory.extend([&len[..], &len, &name_len, &[0; 12], &header, name.as_bytes()].concat());
    }
    let count = (entries.len() as u16).to_le_bytes();
    let (start, len) = (file.len() as u32, directory.len() as u32);
    file.extend(directory);
    file.extend(b"PK\x05\x06\0\0\0\0");
    file.extend([&count[..], &count, &len.to_le_bytes(), &start.to_le_bytes(), &[0; 2]].concat());
    file
}

fuzz_target!(|data: &[u8]| {
    let Some((kind, data)) = data.split_first() else {
        return;
    };
    let built;
    let file = match kind % 2 {
        0 => data,
        _ => {
            built = archive(&[("a/data.pkl", data), ("a/data/0", &[0; 64]), ("a/data/1", &[0; 8])]);
            &built
        }
    };
    let Ok(tensors) = parse(file, 0) else {
        return;
    };
    for (name, view) in tensors.views {
        let bytes = view.ty.tensor_bytes(&view.shape).unwrap_or(0);
        assert!(view.start + bytes <= file.len() as u64, "{name}");
    }
});
