//! Says how a model would run here, before it is loaded: `cargo run --release --example fit -- model.gguf`.

use siskin::Model;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let builder = match std::env::args().nth(1) {
        Some(path) => Model::builder(path),
        None => Model::embedded(),
    };
    let plan = builder.plan()?;
    for row in plan.settings.rows() {
        println!("{:<14} {:<9} {}", row.name, row.value, row.origin.name());
    }
    for item in plan.settings.plan.iter().flat_map(|plan| &plan.items) {
        println!("{:<16} {:>6} MiB", item.what, item.bytes >> 20);
    }
    Ok(())
}
