//! Progress of a file being written, of chunks being run, and of the steps of a measurement.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use siskin::{Progress, Session};
use siskin_quant::stream;

use super::{style, text};

const BAR: &str = "{bar:24} {percent:>3}% {decimal_bytes_per_sec:>11} {eta:>4} {wide_msg}";
/// On terminals with fewer columns than this, the bar and its figures would take two lines.
const NARROW: u16 = 60;
const NARROW_BAR: &str = "{bar:10} {percent:>3}% {eta:>4} {wide_msg}";
const NARROW_CHUNKS: &str = "{bar:10} {percent:>3}% {pos}/{len} {eta:>4}";
const STEPS: &str = "{bar:24} {pos}/{len} {eta:>4} {wide_msg}";
const NARROW_STEPS: &str = "{bar:8} {pos}/{len} {eta:>4} {wide_msg}";
const CHUNKS: &str = "{bar:24} {percent:>3}% chunk {pos} of {len}, {eta} left";

/// A bar on a terminal, otherwise a line per tenth, or nothing.
pub(crate) enum WriteProgress {
    Bar(ProgressBar),
    Lines(AtomicU64),
    Nothing,
}

impl WriteProgress {
    pub(crate) fn new(quiet: bool, bytes: u64) -> Self {
        if quiet {
            return WriteProgress::Nothing;
        }
        if !style::redraws() {
            return WriteProgress::Lines(0.into());
        }
        let bar = ProgressBar::new(bytes);
        bar.set_style(style_for(BAR, NARROW_BAR));
        WriteProgress::Bar(bar)
    }

    pub(crate) fn show(&self, progress: &stream::Progress<'_>) {
        match self {
            WriteProgress::Nothing => {}
            WriteProgress::Bar(bar) => {
                bar.set_length(progress.total);
                bar.set_position(progress.written);
                bar.set_message(text::bounded(&progress.tensor.name));
            }
            WriteProgress::Lines(tenths) => {
                let tenth = progress.written * 10 / progress.total.max(1);
                if tenths.swap(tenth, Ordering::Relaxed) < tenth {
                    say!("{:>3}%  {}", tenth * 10, text::bounded(&progress.tensor.name));
                }
            }
        }
    }

    pub(crate) fn finish(&self) {
        if let WriteProgress::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// What arrives, in bytes: a bar on a terminal, otherwise a line per tenth, or nothing.
#[cfg(feature = "pull")]
pub(crate) enum PullProgress {
    Bar(ProgressBar),
    Lines { total: u64, tenths: AtomicU64 },
    Nothing,
}

#[cfg(feature = "pull")]
impl PullProgress {
    pub(crate) fn new(quiet: bool, total: u64) -> Self {
        if quiet {
            return PullProgress::Nothing;
        }
        if !style::redraws() {
            return PullProgress::Lines {
                total,
                tenths: 0.into(),
            };
        }
        let bar = ProgressBar::new(total);
        bar.set_style(style_for(BAR, NARROW_BAR));
        PullProgress::Bar(bar)
    }

    /// So many bytes are there.
    pub(crate) fn show(&self, bytes: u64) {
        match self {
            PullProgress::Nothing => {}
            PullProgress::Bar(bar) => bar.set_position(bytes),
            PullProgress::Lines { total, tenths } => {
                let tenth = bytes * 10 / (*total).max(1);
                if tenths.swap(tenth, Ordering::Relaxed) < tenth {
                    say!("{:>3}%", tenth * 10);
                }
            }
        }
    }

    /// What is at work beside it.
    pub(crate) fn message(&self, what: &str) {
        if let PullProgress::Bar(bar) = self {
            bar.set_message(text::bounded(what));
        }
    }

    /// A line above the bar.
    pub(crate) fn note(&self, line: &str) {
        match self {
            PullProgress::Nothing => {}
            PullProgress::Bar(bar) => bar.suspend(|| say!("{}", text::escaped(line))),
            PullProgress::Lines { .. } => say!("{}", text::escaped(line)),
        }
    }

    pub(crate) fn finish(&self) {
        if let PullProgress::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

/// ChunkProgress done: a bar on a terminal, otherwise a line per tenth, or nothing.
pub(crate) struct ChunkProgress {
    bar: Option<ProgressBar>,
    lines: bool,
}

impl ChunkProgress {
    pub(crate) fn new(quiet: bool, chunks: usize) -> Self {
        let bar = (!quiet).then(|| ProgressBar::new(chunks as u64));
        if let Some(bar) = &bar {
            bar.set_style(style_for(CHUNKS, NARROW_CHUNKS));
        }
        ChunkProgress {
            bar,
            lines: !style::redraws(),
        }
    }

    /// Counts one more chunk.
    pub(crate) fn step(&self) {
        let Some(bar) = &self.bar else { return };
        bar.inc(1);
        let (done, total) = (bar.position(), bar.length().unwrap_or(1).max(1));
        if self.lines && done * 10 / total > (done - 1) * 10 / total {
            say!("{:>3}%  chunk {done} of {total}", done * 100 / total);
        }
    }

    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A bar of steps; it is drawn on a terminal only.
pub(crate) fn steps() -> ProgressBar {
    let bar = ProgressBar::no_length();
    bar.set_style(style_for(STEPS, NARROW_STEPS));
    bar
}

/// Shows a step.
pub(crate) fn show_step(bar: &ProgressBar, done: usize, total: usize, what: &str) {
    bar.set_length(total as u64);
    bar.set_position(done as u64);
    bar.set_message(text::bounded(what));
}

/// The style that fits the width of the terminal on stderr.
fn style_for(wide: &str, narrow: &str) -> ProgressStyle {
    // Some terminals report 0 columns because they do not know their width.
    let size = rustix::termios::tcgetwinsize(std::io::stderr());
    let is_narrow = size.is_ok_and(|size| (1..NARROW).contains(&size.ws_col));
    let template = if is_narrow { narrow } else { wide };
    ProgressStyle::with_template(template).expect("a template that a test has drawn")
}

/// How long a prompt is computed before its progress is shown.
const PATIENCE: Duration = Duration::from_secs(1);

/// A line on a terminal while a long prompt is computed; it is gone before any text appears.
#[derive(Clone)]
pub(crate) struct PromptLine(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    /// When the prompt began; `None` if none is computed that waits for its first text.
    since: Option<Instant>,
    progress: Option<Progress>,
    is_enabled: bool,
    is_shown: bool,
}

impl State {
    fn draw(&mut self) {
        if let Some(Progress { done, total }) = self.progress {
            self.is_shown = true;
            let line = format!("reading the prompt: {done} of {total} tokens");
            let _ = write!(std::io::stderr(), "\r{line}\x1b[K");
        }
    }
}

impl PromptLine {
    /// A line for the prompts of `session`.
    pub(crate) fn new(session: &mut Session) -> Self {
        let state = State {
            is_enabled: style::redraws(),
            ..State::default()
        };
        let line = PromptLine(Arc::new((Mutex::new(state), Condvar::new())));
        let shown = line.clone();
        session.on_progress(move |progress| shown.show(progress));
        line
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A prompt is about to be computed.
    pub(crate) fn begin(&self) {
        let since = Instant::now();
        let mut state = self.state();
        (state.since, state.progress) = (Some(since), None);
        if state.is_enabled {
            // A batch may take many seconds, so the line does not wait for its end. Without a thread there is no line.
            let line = self.clone();
            let thread = std::thread::Builder::new().stack_size(64 << 10);
            let _ = thread.spawn(move || line.appear(since));
        }
    }

    /// Shows the line once the prompt has taken a while.
    fn appear(&self, since: Instant) {
        let is_computed = |state: &mut State| state.since == Some(since);
        let waited = self.0.1.wait_timeout_while(self.state(), PATIENCE, is_computed);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if state.since == Some(since) {
            state.draw();
        }
    }

    fn show(&self, progress: Progress) {
        let mut state = self.state();
        state.progress = Some(progress).filter(|_| state.since.is_some());
        if state.is_shown {
            state.draw();
        }
    }

    /// It has been computed: the line is cleared.
    pub(crate) fn end(&self) {
        let mut state = self.state();
        state.since = None;
        self.0.1.notify_all();
        if std::mem::take(&mut state.is_shown) {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use indicatif::{ProgressDrawTarget, TermLike};

    use super::*;

    /// A terminal that remembers what was written to it.
    #[derive(Debug)]
    struct Terminal(u16, Arc<Mutex<Vec<String>>>);

    impl TermLike for Terminal {
        fn width(&self) -> u16 {
            self.0
        }
        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn write_line(&self, text: &str) -> io::Result<()> {
            self.write_str(text)
        }
        fn write_str(&self, text: &str) -> io::Result<()> {
            self.1.lock().expect("one thread").push(text.to_owned());
            Ok(())
        }
        fn clear_line(&self) -> io::Result<()> {
            Ok(())
        }
        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_bar_takes_one_line_of_the_terminal() {
        let bars = [(BAR, NARROW_BAR), (CHUNKS, NARROW_CHUNKS), (STEPS, NARROW_STEPS)];
        for ((wide, narrow), width) in bars
            .into_iter()
            .flat_map(|bars| [80, 60, 59, 40].map(|w| (bars, w)))
        {
            let template = if width < NARROW { narrow } else { wide };
            let written = Arc::default();
            let terminal = Terminal(width, Arc::clone(&written));
            let bar = ProgressBar::with_draw_target(
                Some(123_456),
                ProgressDrawTarget::term_like(Box::new(terminal)),
            );
            bar.set_style(ProgressStyle::with_template(template).expect("a template"));
            bar.set_message(
                "token_embd.weight: a message that is longer than the terminal is wide".repeat(2),
            );
            bar.set_position(12_345);
            bar.tick();
            let written = written.lock().expect("one thread");
            let longest = written.iter().map(|text| text.trim_end().chars().count()).max();
            let longest = longest.expect("it was drawn");
            assert!(
                longest > 0 && longest <= usize::from(width),
                "{width}: {written:#?}"
            );
        }
    }
}
