//! Answers as ollama writes them: lines of JSON, of which the last has the times.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::Response;
use serde_json::{Map, Value as Json, json};

use crate::answer::{Answer, Part};
use crate::api::openai::scores;
use crate::api::parts::{Begun, Change, Choice, collect};
use crate::app::App;
use crate::dialect::{Dialect, json_response};
use crate::error::ApiError;
use crate::models::Lease;
use crate::request::{End, Finish};
use crate::stream_body::{Format, Sink, respond};

/// What the lines of an answer have in common.
pub(super) struct Reply {
    /// The name that the client gave the model.
    pub(super) model: String,
    /// Whether it is a chat's; else it is a continuation's.
    pub(super) chat: bool,
    /// When it was asked for.
    pub(super) start: Instant,
    /// How long the model took to load.
    pub(super) load: Duration,
    /// How long the model is to be kept.
    pub(super) keep: Option<Duration>,
    /// Tell probabilities.
    pub(super) logprobs: bool,
    /// The service.
    pub(super) app: Arc<App>,
}

/// The time now.
pub(super) fn now() -> String {
    jiff::Timestamp::now().to_string()
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The calls of a choice from `first` on; one that broke off is none.
fn calls(choice: &Choice, first: usize) -> Vec<Json> {
    let calls = choice
        .calls()
        .enumerate()
        .skip(first)
        .filter(|(_, (.., complete))| *complete);
    calls
        .filter_map(|(index, (name, arguments, _))| {
            let arguments: Json = serde_json::from_str(arguments).ok()?;
            Some(json!({ "function": { "index": index, "name": name, "arguments": arguments } }))
        })
        .collect()
}

impl Reply {
    /// Has the answer written, line by line or at once.
    ///
    /// # Errors
    /// It cannot be computed.
    pub(super) async fn write(self, mut answer: Answer, stream: bool) -> Result<Response<Body>, ApiError> {
        if let Some(keep) = self.keep {
            answer.lease.keep_for(keep);
        }
        if stream {
            let begun = Begun::new(answer).await?;
            return Ok(respond(Format::Lines, |sink| self.lines(begun, sink)));
        }
        let collected = collect(&mut answer).await?;
        let choice = collected.choices.into_iter().next().unwrap_or_default();
        let mut line = self.line(&choice.all_text(), calls(&choice, 0));
        if self.logprobs {
            let scores = choice
                .scores
                .iter()
                .map(|scored| scores::chat(&answer.lease.live, scored));
            line.insert("logprobs".into(), scores.collect());
        }
        self.end(&mut line, answer.prompt_tokens, choice.end.as_deref());
        self.leave(answer);
        Ok(json_response(200, &line))
    }

    /// An answer to nothing: the model is loaded, or unloaded.
    pub(super) fn nothing(self, lease: Lease) -> Response<Body> {
        let mut line = self.line("", Vec::new());
        line.insert("done".into(), true.into());
        let reason = match self.keep {
            Some(Duration::ZERO) => "unload",
            keep => {
                keep.into_iter().for_each(|keep| lease.keep_for(keep));
                "load"
            }
        };
        line.insert("done_reason".into(), reason.into());
        self.release(lease);
        json_response(200, &line)
    }

    fn line(&self, text: &str, calls: Vec<Json>) -> Map<String, Json> {
        let mut line = Map::new();
        line.insert("model".into(), self.model.clone().into());
        line.insert("created_at".into(), now().into());
        if self.chat {
            let mut message = json!({ "role": "assistant", "content": text });
            if !calls.is_empty() {
                message["tool_calls"] = calls.into();
            }
            line.insert("message".into(), message);
        } else {
            line.insert("response".into(), text.into());
        }
        line.insert("done".into(), false.into());
        line
    }

    fn end(&self, line: &mut Map<String, Json>, prompt: u32, end: Option<&End>) {
        let Some(end) = end else { return };
        let reason = match end.finish {
            Finish::Length => "length",
            Finish::Stop | Finish::StopString => "stop",
        };
        let ms = |ms: f64| nanoseconds(Duration::from_secs_f64(ms.max(0.0) / 1e3));
        line.insert("done".into(), true.into());
        line.insert("done_reason".into(), reason.into());
        line.insert("total_duration".into(), nanoseconds(self.start.elapsed()).into());
        line.insert("load_duration".into(), nanoseconds(self.load).into());
        line.insert("prompt_eval_count".into(), prompt.into());
        line.insert("prompt_eval_duration".into(), ms(end.timings.prompt_ms).into());
        line.insert("eval_count".into(), end.timings.predicted_n.into());
        line.insert("eval_duration".into(), ms(end.timings.predicted_ms).into());
    }

    /// The answer line by line; a call comes whole.
    async fn lines(self, mut begun: Begun, sink: Sink) {
        let mut choice = Choice::default();
        let mut told = 0;
        while let Some((_, part)) = begun.next().await {
            let scored = match &part {
                Part::Text { scored, .. } if self.logprobs => scored.as_ref(),
                _ => None,
            };
            let scored = scored.map(|scored| scores::chat(begun.live(), scored));
            let changes = match choice.add(part) {
                Ok(changes) => changes,
                Err(error) => {
                    sink.json(&Dialect::Ollama.body(&error));
                    return;
                }
            };
            let is_text =
                |index: usize| matches!(choice.blocks.get(index), Some(crate::api::parts::Block::Text(_)));
            let texts = changes.iter().filter_map(|change| match change {
                Change::More(index, text) if is_text(*index) => Some(text.as_str()),
                _ => None,
            });
            let text: String = texts.collect();
            if !text.is_empty() || scored.is_some() {
                let mut line = self.line(&text, Vec::new());
                line.extend(scored.map(|scored| ("logprobs".to_owned(), Json::Array(vec![scored]))));
                sink.json(&line);
            }
            let new = calls(&choice, told);
            if !new.is_empty() {
                told += new.len();
                sink.json(&self.line("", new));
            }
        }
        let mut line = self.line("", Vec::new());
        self.end(&mut line, begun.answer.prompt_tokens, choice.end.as_deref());
        sink.json(&line);
        self.leave(begun.answer);
    }

    fn leave(&self, answer: Answer) {
        let live = answer.lease.live.clone();
        drop(answer);
        self.unload(&live.name);
    }

    fn release(&self, lease: Lease) {
        let live = lease.live.clone();
        drop(lease);
        self.unload(&live.name);
    }

    /// A model that is not to be kept is freed, unless others use it.
    fn unload(&self, name: &str) {
        if self.keep == Some(Duration::ZERO)
            && let Ok(entry) = self.app.models.find(Some(name))
        {
            self.app.models.unload(entry);
        }
    }
}
