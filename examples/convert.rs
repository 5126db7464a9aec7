//! Converts a checkpoint and quantizes it on the way: `cargo run --release --example convert -- CHECKPOINT out.gguf`.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use siskin::model::FileType;
use siskin::model::atomic_file::Overwrite;
use siskin::quant::convert::Conversion;
use siskin::quant::stream::StreamOptions;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [checkpoint, out] = args.as_slice() else {
        return Err("usage: convert CHECKPOINT OUT.gguf".into());
    };
    let conversion = Conversion::from_checkpoint(Path::new(checkpoint), Some(FileType::Q4KM), None)?;
    let cancel = AtomicBool::new(false);
    let options = StreamOptions::new(siskin::device::available_cpus(), &cancel);
    conversion.write(Path::new(out), Overwrite::Refuse, options, &mut |_| {})?;
    println!("{out}: {} MB", conversion.file_bytes() / 1_000_000);
    Ok(())
}
