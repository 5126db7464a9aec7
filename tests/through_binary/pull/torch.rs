//! A checkpoint as torch saves it, made of one in safetensors.

use serde_json::{Map, Value};

/// Tensors of safetensors as an archive of `torch.save`: a ZIP file of stored entries whose pickle has one storage a
/// tensor.
pub(super) fn archive(safetensors: &[u8]) -> Vec<u8> {
    let (length, rest) = safetensors.split_at(8);
    let length = u64::from_le_bytes(length.try_into().expect("eight bytes")) as usize;
    let (header, data) = rest.split_at(length);
    let mut header: Map<String, Value> = serde_json::from_slice(header).expect("JSON");
    header.remove("__metadata__");

    let mut pickle = b"\x80\x02".to_vec();
    pickle.extend(ORDERED_DICT);
    pickle.push(b'(');
    let mut entries = Vec::new();
    for (key, (name, tensor)) in header.iter().enumerate() {
        let number = |value: &Value| value.as_u64().expect("a number");
        let numbers = |key: &str| -> Vec<u64> {
            let list = tensor[key].as_array().expect("a list");
            list.iter().map(number).collect()
        };
        let (shape, offsets) = (numbers("shape"), numbers("data_offsets"));
        let bytes = &data[offsets[0] as usize..offsets[1] as usize];
        let storage = match tensor["dtype"].as_str() {
            Some("F32") => "FloatStorage",
            Some("F16") => "HalfStorage",
            Some("BF16") => "BFloat16Storage",
            other => panic!("{other:?}"),
        };
        let key = key.to_string();
        text(&mut pickle, name);
        pickle.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text(&mut pickle, "storage");
        pickle.extend(format!("ctorch\n{storage}\n").into_bytes());
        text(&mut pickle, &key);
        text(&mut pickle, "cpu");
        int(&mut pickle, shape.iter().product());
        pickle.extend(b"tQK\0(");
        shape.iter().for_each(|size| int(&mut pickle, *size));
        pickle.extend(b"t(");
        for axis in 1..=shape.len() {
            int(&mut pickle, shape[axis..].iter().product());
        }
        pickle.extend(b"t\x89");
        pickle.extend(ORDERED_DICT);
        pickle.extend(b"tR");
        entries.push((format!("archive/data/{key}"), bytes.to_vec()));
    }
    pickle.extend(b"u.");
    entries.insert(0, ("archive/data.pkl".into(), pickle));
    entries.push(("archive/version".into(), b"3\n".to_vec()));
    zip(&entries)
}

const ORDERED_DICT: &[u8] = b"ccollections\nOrderedDict\n)R";

fn text(pickle: &mut Vec<u8>, text: &str) {
    pickle.push(b'X');
    pickle.extend((text.len() as u32).to_le_bytes());
    pickle.extend(text.as_bytes());
}

fn int(pickle: &mut Vec<u8>, number: u64) {
    pickle.push(b'J');
    pickle.extend((number as u32).to_le_bytes());
}

/// A ZIP file whose entries are not compressed and begin at multiples of 64, as torch's. The checksums are 0.
fn zip(entries: &[(String, Vec<u8>)]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for (name, bytes) in entries {
        let at = file.len() as u32;
        let size = (bytes.len() as u32).to_le_bytes();
        let padding = (64 - (file.len() + 30 + name.len() + 4) % 64) % 64;
        // Version, flags, method, time, date, checksum.
        let common = [10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let sizes = [size, size].concat();
        let length = (name.len() as u16).to_le_bytes();
        let extra = (padding as u16 + 4).to_le_bytes();
        file.extend(
            [
                b"PK\x03\x04",
                &common[..],
                &sizes,
                &length,
                &extra,
                name.as_bytes(),
            ]
            .concat(),
        );
        file.extend([b"FB", &(padding as u16).to_le_bytes()[..], &vec![b'Z'; padding]].concat());
        file.extend(bytes);
        directory.extend([b"PK\x01\x02\x0A\0", &common[..], &sizes, &length, &[0; 12]].concat());
        directory.extend(at.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let at = (file.len() as u32).to_le_bytes();
    let count = (entries.len() as u16).to_le_bytes();
    let size = (directory.len() as u32).to_le_bytes();
    file.extend(directory);
    file.extend([b"PK\x05\x06\0\0\0\0", &count[..], &count, &size, &at, &[0; 2]].concat());
    file
}
