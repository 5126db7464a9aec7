//! The conversation's way into the context, with the turns that there is room for.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{Chat, ChatError, Prepared, TemplateError};
use crate::engine::Token;

/// Bytes of messages for each place in the context up to which the whole conversation is tried first: with more, it is
/// looked for from the end which turns fit, in time that follows from the context and not from the conversation.
const BYTES_PER_PLACE: usize = 16;

/// The tokens of some turns.
struct Length {
    /// How many they are; at least so many if they are more than the context has places.
    count: usize,
    /// The tokens themselves, unless they are more than that.
    tokens: Vec<Token>,
}

/// What was found to fit.
struct Fitting {
    tokens: Vec<Token>,
    dropped: usize,
}

impl Chat {
    /// Brings the conversation and the tokens `made` of an answer into the context. While fewer than `reserve` places
    /// are left after them, it drops the oldest turns, whole, down to the last. It stops early once `interrupted` is
    /// true.
    ///
    /// # Errors
    /// The last message alone does not fit, the template refuses the conversation, or llama.cpp fails.
    pub(crate) fn prepare(
        &mut self,
        made: &[Token],
        reserve: usize,
        interrupted: Option<&AtomicBool>,
    ) -> Result<Prepared, ChatError> {
        let Some(Fitting { tokens, dropped }) = self.fitting(made, reserve, interrupted)? else {
            return Ok(Prepared {
                tokens: 0,
                reused: 0,
                dropped: 0,
                complete: false,
            });
        };
        self.conversation.drop_turns(dropped);
        let reused = self.session.keep_prefix(&tokens);
        let complete = self.session.decode_until(&tokens[reused..], interrupted)?;
        Ok(Prepared {
            tokens: tokens.len(),
            reused,
            dropped,
            complete,
        })
    }

    /// The newest turns that leave room for `reserve` tokens; `None` if it was interrupted.
    fn fitting(
        &self,
        made: &[Token],
        reserve: usize,
        interrupted: Option<&AtomicBool>,
    ) -> Result<Option<Fitting>, ChatError> {
        let context = self.session.capacity();
        let room = context as usize;
        let (turns, hidden) = self.conversation.turns();
        let visible = turns - hidden;
        let tries = Tries {
            chat: self,
            made,
            room: room.saturating_sub(reserve.max(1)),
            interrupted,
        };
        if visible <= 1 || self.conversation.seen_bytes() <= room * BYTES_PER_PLACE {
            match tries.newest(visible) {
                Err(error) if visible > 1 && is_length(&error) => {}
                length => {
                    let Some(Length { count, tokens }) = length? else {
                        return Ok(None);
                    };
                    if count <= tries.room {
                        return Ok(Some(Fitting { tokens, dropped: 0 }));
                    }
                }
            }
        }
        // The last turn alone may take what is reserved for the answer.
        let Some(mut best) = tries.newest(1)? else {
            return Ok(None);
        };
        let mut fits = 1;
        if best.count > tries.room {
            if best.count < room {
                let dropped = visible.saturating_sub(1);
                return Ok(Some(Fitting {
                    tokens: best.tokens,
                    dropped,
                }));
            }
            let tokens = best.count;
            return Err(ChatError::TooLong { tokens, context });
        }
        // Doubles the number of turns until they do not fit, then halves the distance.
        let mut too_many = visible + 1;
        while too_many - fits > 1 {
            let count = match too_many > visible {
                true => (fits * 2).min(visible),
                false => (fits + too_many) / 2,
            };
            match tries.newest(count) {
                Err(error) if is_length(&error) => too_many = count,
                length => match length? {
                    None => return Ok(None),
                    Some(length) if length.count <= tries.room => (best, fits) = (length, count),
                    Some(_) => too_many = count,
                },
            }
        }
        let dropped = visible - fits;
        Ok(Some(Fitting {
            tokens: best.tokens,
            dropped,
        }))
    }
}

/// Whether fewer turns could help.
fn is_length(error: &ChatError) -> bool {
    matches!(
        error,
        ChatError::Template(TemplateError::TooMuch | TemplateError::MessagesTooLong(_))
    )
}

struct Tries<'c> {
    chat: &'c Chat,
    made: &'c [Token],
    /// Places for the conversation and what was made.
    room: usize,
    interrupted: Option<&'c AtomicBool>,
}

impl Tries<'_> {
    /// The tokens of the newest turns; `None` if it was interrupted.
    fn newest(&self, count: usize) -> Result<Option<Length>, ChatError> {
        let stopped = |stop: &AtomicBool| stop.load(Ordering::Relaxed);
        if self.interrupted.is_some_and(stopped) {
            return Ok(None);
        }
        let Chat {
            session,
            template,
            control,
            conversation,
        } = self.chat;
        let rendered = template.rendered(&conversation.newest(count), true)?;
        let model = session.model();
        let fewest = model.fewest_tokens(rendered.text.len() as u64);
        let fewest = usize::try_from(fewest)
            .unwrap_or(usize::MAX)
            .saturating_add(self.made.len());
        if fewest > session.capacity() as usize {
            return Ok(Some(Length {
                count: fewest,
                tokens: Vec::new(),
            }));
        }
        let tokens = control.tokenize(model, &rendered, self.interrupted);
        Ok(tokens.map(|mut tokens| {
            tokens.extend_from_slice(self.made);
            Length {
                count: tokens.len(),
                tokens,
            }
        }))
    }
}
