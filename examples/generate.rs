//! Makes a text: `cargo run --release --example generate -- model.gguf "Once upon a time"`; without arguments, with
//! the embedded storyteller.

use std::io::Write;

use siskin::{Model, Sampling};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let model = match args.next() {
        Some(path) => Model::builder(path).context(4096).load()?,
        None => Model::embedded().load()?,
    };
    let prompt = args.next().unwrap_or("Once upon a time".into());
    let mut session = model.session()?;
    print!("{prompt}");
    let mut text = session.generate(&prompt, &Sampling::greedy().max_tokens(64))?;
    for piece in &mut text {
        print!("{}", piece?);
        std::io::stdout().flush()?;
    }
    println!("\n{:?}, {:?}", text.stop_reason(), text.usage());
    Ok(())
}
