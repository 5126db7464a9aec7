//! The GGUF reader, and all that looks at a header it accepts.
#![no_main]

use libfuzzer_sys::fuzz_target;
use siskin_model::gguf::{Header, write_header};
use siskin_model::summary::Summary;
use siskin_model::{FileType, validate};
use siskin_quant::requantize::plan_requantize;

fuzz_target!(|data: &[u8]| {
    let Ok(header) = Header::parse(data, data.len() as u64) else {
        return;
    };
    for tensor in &header.tensors {
        assert!(header.range(tensor).end <= data.len() as u64);
    }
    // What was read is what would be written, byte for byte, up to the version and the padding's zeros.
    let mut again = Vec::new();
    write_header(&mut again, &header.metadata, &header.tensors, header.alignment).expect("a Vec takes everything");
    assert_eq!(again[8..].len() as u64, header.data_start - 8);
    let _ = Summary::from_header(&header);
    let _ = validate::check_model(&header, true);
    if let Ok(plan) = plan_requantize(header, 0, FileType::Q4KM, true, false) {
        let _ = plan.data_bytes();
    }
});
