//! Guesses the next tokens of the streams of a pass, which are then computed with it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use siskin_runtime::scheduler::{Part, PartRows, Pass, RequestId};
use siskin_runtime::speculate::{Acceptance, Draft, DraftModel, Drafters, Judge, MOST_TOKENS, PassTimes};
use siskin_runtime::{Error, LoadPlan, Model, Token};

use super::stream::Stream;

/// With what tokens are guessed.
#[derive(Debug)]
pub(crate) struct Guessing {
    times: PassTimes,
    /// A smaller model, and the tokens that it has in common with the larger.
    draft: Option<(Model, u32)>,
}

impl Guessing {
    /// With what was measured of passes, and the smaller model of `plan`, which is to guess for `model`. If that is one of
    /// several, a smaller model with other tokens is meant for another, and left out.
    ///
    /// # Errors
    /// The smaller model cannot be loaded, or has other tokens.
    pub(crate) fn new(
        times: PassTimes,
        plan: Option<LoadPlan>,
        model: &Model,
        is_only: bool,
    ) -> Result<Self, Error> {
        let Some(plan) = plan else {
            return Ok(Guessing { times, draft: None });
        };
        let draft = plan.load()?;
        let draft = match model.agreement(&draft) {
            Ok(agreement) => Some((draft, agreement.common)),
            Err(_) if !is_only => None,
            Err(error) => return Err(Error::Draft(error)),
        };
        Ok(Guessing { times, draft })
    }
}

/// Decides which guesses of which stream are computed: what all streams of a model share.
#[derive(Debug)]
pub(super) struct Guesser {
    judge: Judge,
    /// Tokens of the vocabulary.
    vocabulary: usize,
    /// The smaller model, which reads one text at a time: it guesses while one is computed alone.
    draft: Option<Drafters>,
}

/// The guesses of one part, and how many of its tokens were right.
#[derive(Debug)]
pub(super) struct Checked {
    draft: Draft,
    /// Tokens of the part whose rows were drawn from: the text has these.
    kept: usize,
    /// The last token drawn is the one that was guessed.
    open: bool,
}

impl Checked {
    /// Whether the row after the token at `at` continues the text.
    pub(super) fn draws(&self, at: usize) -> bool {
        self.open && self.kept == at
    }

    /// A token was drawn, or the text has ended; `guessed` is the next token of the part.
    pub(super) fn drew(&mut self, token: Option<Token>, guessed: Option<Token>) {
        self.kept += 1;
        self.open = token.is_some() && token == guessed;
    }

    /// What came of the guesses that are decided, in order. The last one is not if its text ended before it.
    fn outcomes(&self, ended: bool) -> impl Iterator<Item = bool> {
        let count = self.draft.tokens.len();
        let right = self.kept.saturating_sub(1);
        let wrong = right < count && !ended;
        std::iter::repeat_n(true, right).chain(wrong.then_some(false))
    }
}

/// The guesses of a pass, by part.
#[derive(Debug, Default)]
pub(super) struct Guesses {
    parts: Vec<Option<Checked>>,
    /// What guessing took.
    took: Duration,
}

impl Guesses {
    /// Those of a part; `None` if it has none.
    pub(super) fn of(&mut self, part: usize) -> Option<&mut Checked> {
        self.parts.get_mut(part)?.as_mut()
    }

    /// Takes the tokens out of a pass that its texts do not have; gives the parts that had guesses.
    pub(super) fn keep<'p>(&self, pass: &'p mut Pass) -> impl Iterator<Item = &'p Part> {
        let parts = pass.parts.iter_mut().zip(&self.parts);
        parts.filter_map(|(part, checked)| {
            part.tokens.truncate(checked.as_ref()?.kept);
            Some(&*part)
        })
    }
}

impl Guesser {
    /// One that knows what was measured of the model.
    ///
    /// # Errors
    /// There is no context for the smaller model.
    pub(super) fn new(guessing: Guessing, vocabulary: usize) -> Result<Self, Error> {
        let draft = guessing.draft.map(|(model, common)| {
            let draft = DraftModel::new(model.session()?, common);
            Ok::<_, Error>(Drafters::new(vec![Box::new(draft)]))
        });
        Ok(Guesser {
            judge: Judge::new(guessing.times, Acceptance::default()),
            vocabulary,
            draft: draft.transpose()?,
        })
    }

    /// Adds guesses to the parts of streams. A pass that reads prompts too gets none: its length is bounded already.
    pub(super) fn add(&mut self, pass: &mut Pass, streams: &mut HashMap<RequestId, Stream>) -> Guesses {
        let texts = pass.streams;
        let mut guesses = Guesses::default();
        if pass.prompt_tokens > 0 || texts == 0 || texts >= MOST_TOKENS || !self.judge.is_open() {
            return guesses;
        }
        let begun = Instant::now();
        let most = MOST_TOKENS - texts;
        let mut offers: Vec<_> = pass.parts[..texts]
            .iter()
            .map(|part| match streams.get_mut(&part.id) {
                Some(stream) => stream.offers(most, self.vocabulary, &self.judge),
                None => Vec::new(),
            })
            .collect();
        if let (Some(draft), [part], [offers]) = (&mut self.draft, &pass.parts[..], &mut offers[..])
            && let Some(stream) = streams.get(&part.id)
        {
            draft.begin(stream.text());
            offers.extend(draft.offers(stream.may_guess(most), self.vocabulary, &self.judge));
        }
        let drafts = self.judge.choose(&offers);
        for (part, draft) in pass.parts.iter_mut().zip(drafts) {
            if draft.tokens.is_empty() {
                guesses.parts.push(None);
                continue;
            }
            pass.guesses += draft.tokens.len();
            part.tokens.extend(draft.tokens.iter().map(|(token, _)| *token));
            part.rows = PartRows::All;
            guesses.parts.push(Some(Checked {
                draft,
                kept: 0,
                open: true,
            }));
        }
        let reading = self.draft.as_ref().map(Drafters::reading);
        guesses.took = begun.elapsed().saturating_sub(reading.unwrap_or_default());
        guesses
    }

    /// The pass took so long; what came of its guesses is known.
    pub(super) fn learn(
        &mut self,
        pass: &Pass,
        guesses: &Guesses,
        took: Duration,
        streams: &mut HashMap<RequestId, Stream>,
    ) {
        let texts = pass.streams;
        if pass.prompt_tokens > 0 || texts == 0 {
            self.judge.interrupted();
            return;
        }
        let without = self.judge.computed(texts, pass.guesses, took, guesses.took);
        let seconds = (took + guesses.took).as_secs_f64();
        for (index, part) in pass.parts[..texts].iter().enumerate() {
            let stream = streams.get_mut(&part.id);
            let checked = guesses.parts.get(index).and_then(Option::as_ref);
            let mut right = 0;
            if let Some(checked) = checked {
                let ended = stream.as_ref().is_none_or(|stream| stream.has_ended());
                let tokens = &checked.draft.tokens;
                for ((_, bucket), is_right) in tokens.iter().zip(checked.outcomes(ended)) {
                    self.judge.learn(checked.draft.source, *bucket, is_right, texts);
                    right += usize::from(is_right);
                }
            }
            if let Some(stream) = stream {
                stream.guessed(checked.map(|checked| &checked.draft), right, seconds, without);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use siskin_runtime::speculate::{Bucket, Source};

    #[test]
    fn rows_are_drawn_from_as_long_as_the_guesses_are_right() {
        let draft = Draft {
            source: Source::History,
            tokens: [7, 8, 9].map(|id| (Token(id), Bucket(0))).to_vec(),
        };
        /// Tokens drawn from each row, how many tokens of the part are kept, which guesses were right.
        type Case = (&'static [Option<i32>], usize, &'static [bool]);
        let cases: [Case; 5] = [
            (&[Some(7), Some(8), Some(9), Some(1)], 4, &[true, true, true]),
            (&[Some(7), Some(1)], 2, &[true, false]),
            (&[Some(1)], 1, &[false]),
            (&[Some(7), Some(8), None], 3, &[true, true]),
            (&[None], 1, &[]),
        ];
        let part = [5, 7, 8, 9].map(Token);
        for (tokens, kept, right) in cases {
            let mut checked = Checked {
                draft: draft.clone(),
                kept: 0,
                open: true,
            };
            let mut drawn = tokens.iter();
            for at in 0..part.len() {
                if checked.draws(at) {
                    let token = drawn
                        .next()
                        .copied()
                        .expect("no row is drawn from after a wrong guess");
                    checked.drew(token.map(Token), part.get(at + 1).copied());
                }
            }
            let ended = tokens.last() == Some(&None);
            let outcomes: Vec<bool> = checked.outcomes(ended).collect();
            assert_eq!((checked.kept, &outcomes[..]), (kept, right), "{tokens:?}");
        }
    }
}
