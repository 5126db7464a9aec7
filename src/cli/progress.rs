//! Progress of a file being written.

use std::sync::atomic::{AtomicU64, Ordering};

use indicatif::{ProgressBar, ProgressStyle};
use siskin_quant::stream::Progress;

use super::{style, text};

const BAR: &str = "{bar:24} {percent:>3}% {binary_bytes_per_sec:>12} {eta:>4} {wide_msg}";

/// A bar on a terminal, a line a tenth elsewhere, or nothing.
pub(crate) enum Shown {
    Bar(ProgressBar),
    Lines(AtomicU64),
    Nothing,
}

impl Shown {
    pub(crate) fn new(quiet: bool, bytes: u64) -> Self {
        if quiet {
            return Shown::Nothing;
        }
        if !style::redraws() {
            return Shown::Lines(0.into());
        }
        let bar = ProgressBar::new(bytes);
        bar.set_style(ProgressStyle::with_template(BAR).expect("a template that a test has drawn"));
        Shown::Bar(bar)
    }

    pub(crate) fn show(&self, progress: &Progress<'_>) {
        match self {
            Shown::Nothing => {}
            Shown::Bar(bar) => {
                bar.set_length(progress.total);
                bar.set_position(progress.written);
                bar.set_message(text::escaped(&progress.tensor.name));
            }
            Shown::Lines(tenths) => {
                let tenth = progress.written * 10 / progress.total.max(1);
                if tenths.swap(tenth, Ordering::Relaxed) < tenth {
                    say!("{:>3}%  {}", tenth * 10, text::escaped(&progress.tensor.name));
                }
            }
        }
    }

    pub(crate) fn finish(&self) {
        if let Shown::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_can_be_drawn() {
        assert!(ProgressStyle::with_template(BAR).is_ok());
    }
}
