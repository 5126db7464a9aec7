//! A session: a context of one sequence, and the logits that continue it.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{Batch, Context, ContextOptions, Model, Rows, SequenceId, Token, Tokenize};
use crate::Error;
use crate::speculate::Speculator;

/// One text, with its own context.
#[derive(Debug)]
pub struct Session {
    pub(super) context: Context,
    pub(super) sequence: SequenceId,
    /// Tokens computed together.
    pub(super) step: usize,
    progress: Option<OnProgress>,
    /// The last tokens of the sequence that are only guesses; only `Draw` sees them.
    pub(super) ahead: usize,
    pub(super) speculator: Option<Speculator>,
}

/// How far a prompt is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Tokens computed.
    pub done: usize,
    /// Tokens to compute.
    pub total: usize,
}

/// Who is told how far a prompt is computed.
struct OnProgress(Box<dyn FnMut(Progress) + Send>);

impl std::fmt::Debug for OnProgress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OnProgress")
    }
}

impl Session {
    /// An empty session.
    ///
    /// # Errors
    /// llama.cpp cannot make a context with these options.
    pub fn new(model: &Model, options: ContextOptions) -> Result<Self, Error> {
        let step = options.values.ubatch.max(1) as usize;
        let mut context = Context::new(
            model,
            ContextOptions {
                sequences: 1,
                ..options
            },
        )?;
        let sequence = context.sequence()?;
        Ok(Session {
            context,
            sequence,
            step,
            progress: None,
            ahead: 0,
            speculator: None,
        })
    }

    /// Has `tell` called while a prompt of more than one token is computed: before the first batch and after each.
    pub fn on_progress(&mut self, tell: impl FnMut(Progress) + Send + 'static) {
        self.progress = Some(OnProgress(Box::new(tell)));
    }

    /// The model.
    pub fn model(&self) -> &Model {
        self.context.model()
    }

    /// Tokens that the context has room for.
    pub fn capacity(&self) -> u32 {
        self.context.capacity()
    }

    /// What was computed, in order.
    pub fn tokens(&self) -> &[Token] {
        let all = self.context.tokens(self.sequence);
        &all[..all.len() - self.ahead]
    }

    /// Tokens computed so far.
    pub fn len(&self) -> usize {
        self.tokens().len()
    }

    /// True if nothing was computed yet.
    pub fn is_empty(&self) -> bool {
        self.tokens().is_empty()
    }

    /// The logits after the last token: one number for each token of the vocabulary. `None` if nothing was computed
    /// since the session began or was truncated.
    pub fn logits(&self) -> Option<&[f32]> {
        self.context.logits_after(self.sequence, self.len())
    }

    /// The tokens of a text that is to be computed next; `None` if `stop` became true meanwhile.
    ///
    /// # Errors
    /// The text is too long for what is left of the context, whatever its tokens are: it is not tokenized then.
    pub fn tokenize(
        &self,
        text: &str,
        options: Tokenize,
        stop: Option<&AtomicBool>,
    ) -> Result<Option<Vec<Token>>, Error> {
        self.check_length(text.len() as u64)?;
        Ok(self.model().tokenize_until(text, options, stop))
    }

    /// Refuses a text of so many bytes if it cannot fit into what is left of the context, whatever its tokens are.
    ///
    /// # Errors
    /// It cannot.
    pub fn check_length(&self, bytes: u64) -> Result<(), Error> {
        let room = self.room();
        let fewest = self.model().fewest_tokens(bytes);
        if fewest <= u64::from(room) {
            return Ok(());
        }
        Err(Error::TextTooLong {
            bytes,
            fewest,
            room,
            context: self.capacity(),
        })
    }

    /// Computes tokens; the logits after the last are kept.
    ///
    /// # Errors
    /// They do not fit (then nothing is computed), or llama.cpp fails.
    pub fn decode(&mut self, tokens: &[Token]) -> Result<(), Error> {
        self.decode_until(tokens, None).map(|_| ())
    }

    /// The same, and stops early once `stop` is true, also in the middle of a computation; then it has what was computed
    /// batch by batch before. Returns whether it reached the end.
    ///
    /// # Errors
    /// As [`Session::decode`]'s.
    pub fn decode_until(&mut self, tokens: &[Token], stop: Option<&AtomicBool>) -> Result<bool, Error> {
        self.settle()?;
        self.context.check_room(self.sequence, tokens.len())?;
        let count = tokens.len().div_ceil(self.step);
        self.tell(0, tokens.len());
        for (index, piece) in tokens.chunks(self.step).enumerate() {
            if stop.is_some_and(|stop| stop.load(Ordering::Relaxed)) {
                return Ok(false);
            }
            let rows = if index + 1 == count {
                Rows::Last
            } else {
                Rows::None
            };
            if !self.compute(piece, rows, stop, |_| {})? {
                return Ok(false);
            }
            self.tell(index * self.step + piece.len(), tokens.len());
        }
        Ok(true)
    }

    fn tell(&mut self, done: usize, total: usize) {
        if let Some(OnProgress(tell)) = self.progress.as_mut().filter(|_| total > 1) {
            tell(Progress { done, total });
        }
    }

    /// Computes tokens and lends the logits after each to `on_row`, in order.
    ///
    /// # Errors
    /// As [`Session::decode`]'s.
    pub fn decode_rows(&mut self, tokens: &[Token], on_row: impl FnMut(&[f32])) -> Result<(), Error> {
        self.settle()?;
        self.compute(tokens, Rows::All, None, on_row).map(|_| ())
    }

    /// Takes out every token from position `len` on, as if it had not been computed.
    ///
    /// # Errors
    /// The model's memory cannot be cut, as that of recurrent models.
    pub fn truncate(&mut self, len: usize) -> Result<(), Error> {
        self.settle()?;
        self.context.truncate(self.sequence, len)
    }

    /// Makes ready for `tokens` to be the whole context: keeps what they begin with and the cache has, and returns how
    /// many that is. See [`Context::keep_prefix`].
    pub fn keep_prefix(&mut self, tokens: &[Token]) -> usize {
        // Guesses are not part of what was computed, even if they were right: how many tokens the caller computes next
        // must not depend on them. If they cannot be taken out, everything is.
        if self.settle().is_err() {
            self.context.clear(self.sequence);
        }
        self.context.keep_prefix(self.sequence, tokens)
    }

    pub(super) fn compute(
        &mut self,
        tokens: &[Token],
        rows: Rows,
        stop: Option<&AtomicBool>,
        mut on_row: impl FnMut(&[f32]),
    ) -> Result<bool, Error> {
        let mut batch = Batch::new();
        batch.push(self.sequence, tokens, rows);
        self.context.decode_until(&batch, stop, |row| on_row(row.logits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{LoadOptions, STORYTELLER};

    #[test]
    fn what_was_truncated_was_never_computed() {
        let model = Model::load_bytes(STORYTELLER, &LoadOptions::default()).expect("the embedded model");
        let mut session = Session::new(&model, ContextOptions::default()).expect("a session");
        let tokens = model.tokenize("Once upon a time there was a king", Tokenize::TEXT);
        let (start, rest) = tokens.split_at(4);
        session.decode(start).expect("room");
        session.decode(rest).expect("room");
        let want = session.logits().expect("logits").to_vec();
        session.truncate(4).expect("truncated");
        assert_eq!((session.len(), session.logits()), (4, None));
        session.decode(&start[..2]).expect("room");
        session.truncate(4).expect("truncated");
        session.truncate(9).expect("nothing to do");
        session.decode(rest).expect("room");
        assert_eq!(session.logits().expect("logits"), want);
    }

    #[test]
    fn a_prompt_reports_its_progress_and_stops_between_batches() {
        let model = Model::load_bytes(STORYTELLER, &LoadOptions::default()).expect("the embedded model");
        let mut options = ContextOptions::default();
        options.values.ubatch = 16;
        let mut session = Session::new(&model, options).expect("a session");
        let tokens = vec![model.bos().expect("a token that begins texts"); 40];
        let (sender, told) = std::sync::mpsc::channel();
        session.on_progress(move |progress| sender.send((progress.done, progress.total)).expect("heard"));
        assert!(session.decode_until(&tokens, None).expect("room"));
        assert!(
            session
                .decode_until(&tokens[..1], None)
                .expect("one token tells nothing")
        );
        let told: Vec<_> = told.try_iter().collect();
        assert_eq!(told, [(0, 40), (16, 40), (32, 40), (40, 40)]);

        let flag = std::sync::Arc::new(AtomicBool::new(false));
        let set = flag.clone();
        session.on_progress(move |progress| set.store(progress.done >= 16, Ordering::Relaxed));
        session.truncate(0).expect("truncated");
        assert!(!session.decode_until(&tokens, Some(&flag)).expect("room"));
        assert_eq!(session.len(), 16);
    }

    /// llama.cpp asks between the steps of a graph, so a batch that has begun ends too, and leaves nothing.
    #[test]
    fn a_batch_that_has_begun_is_stopped() {
        let model = Model::load_bytes(STORYTELLER, &LoadOptions::default()).expect("the embedded model");
        let mut session = Session::new(&model, ContextOptions::default()).expect("a session");
        let tokens = model.tokenize("Once upon a time", Tokenize::TEXT);
        session.decode(&tokens).expect("room");
        let want = session.logits().expect("logits").to_vec();
        session.truncate(2).expect("truncated");
        let flag = AtomicBool::new(true);
        let done = session.compute(&tokens[2..], Rows::Last, Some(&flag), |_| {});
        assert!(!done.expect("no failure"), "the flag was not asked for");
        assert_eq!((session.len(), session.logits()), (2, None));
        flag.store(false, Ordering::Relaxed);
        assert!(
            session
                .decode_until(&tokens[2..], Some(&flag))
                .expect("it goes on")
        );
        assert_eq!(session.logits().expect("logits"), want);
    }
}
