//! Prints a story, and whose kernels decoded it; fails if they were not siskin's although there are some for this CPU.

use siskin::{Model, Sampling};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = Model::embedded().load()?;
    let mut session = model.session()?;
    for piece in session.generate("Once upon a time", &Sampling::greedy().max_tokens(40))? {
        print!("{}", piece?);
    }
    let status = siskin::kernels_status();
    println!("\nkernels: {status}");
    match (status.reason, status.isa) {
        (Some(reason), Some(_)) => Err(reason.into()),
        _ => Ok(()),
    }
}
