//! Runs one kernel once, so that scripts/count-neon.sh counts its instructions.
//!
//! ```sh
//! cargo run --release -p siskin-kernels --example count -- Q4_K 16 8 4   # a format, rows, blocks of 256, columns
//! ```

use siskin_kernels::check::{Case, Kind};
use siskin_kernels::{Format, Isa, Kernel};

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let number = |at: usize| args[at].parse::<usize>().expect("a number");
    let format = Format::ALL
        .into_iter()
        .find(|format| format.name() == args[1])
        .expect("a format");
    let isa = Isa::best().expect("an instruction set");
    let kernel = Kernel::new(format, isa).expect("available");
    let blocks = number(3) * 256 / format.block_len();
    let case = Case::with_columns(format, Kind::Usual, (number(2), number(4)), blocks, 1);
    println!("{}", case.run(&kernel, 4096)[0]);
}
