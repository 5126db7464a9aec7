//! Chats with a model on its own template: `cargo run --release --example chat -- model.gguf`.

use std::io::{BufRead, Write};

use siskin::chat::{Chat, ChatEvent};
use siskin::{Model, Sampling};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: chat MODEL.gguf")?;
    let model = Model::builder(path).load()?;
    let mut chat = Chat::open(&model, Some("You are brief.".into()))?;
    for line in std::io::stdin().lock().lines() {
        for event in chat.reply(line?, &Sampling::default(), None)? {
            match event? {
                ChatEvent::Text(piece) => print!("{piece}"),
                ChatEvent::Dropped(turns) => eprintln!("({turns} oldest turns dropped)"),
                _ => {}
            }
            std::io::stdout().flush()?;
        }
        println!();
    }
    Ok(())
}
