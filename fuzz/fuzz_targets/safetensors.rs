//! The safetensors header: its JSON, against a file of a length that the first two bytes choose.
#![no_main]

use libfuzzer_sys::fuzz_target;
use siskin_quant::checkpoint::safetensors::parse_header;

fuzz_target!(|data: &[u8]| {
    let Some((len, json)) = data.split_first_chunk::<2>() else {
        return;
    };
    let start = 8 + json.len() as u64;
    let end = start + 64 * u64::from(u16::from_le_bytes(*len));
    let Ok(tensors) = parse_header(json, 0, start, end) else {
        return;
    };
    for (name, view) in tensors.views {
        let (rows, row) = view.rows();
        let bytes = view.ty.row_bytes(row).expect("floats come in blocks of one") * rows;
        assert!(view.start >= start && view.start + bytes <= end, "{name}");
    }
});
