//! An answer as Anthropic's events.

use serde_json::{Value as Json, json};

use super::{message, stop_reason, tool_id, usage};
use crate::answer::Part;
use crate::api::parts::{Begun, Block, Change, Choice, Usage, waiting};
use crate::dialect::Dialect;
use crate::stream_body::Sink;

/// Writes the events of an answer.
pub(super) async fn write(id: String, mut begun: Begun, sink: Sink) {
    let mut tokens = Usage {
        prompt: begun.answer.prompt_tokens,
        ..Usage::default()
    };
    let mut first = message(&id, &begun.live().name);
    first["usage"] = usage(tokens);
    sink.named(
        "message_start",
        &json!({ "type": "message_start", "message": first }),
    );
    sink.named("ping", &json!({ "type": "ping" }));
    let mut choice = Choice::default();
    while let Some((_, part)) = begun.next().await {
        if let Part::Waiting(progress) = part {
            sink.comment(&waiting(progress));
            continue;
        }
        let changes = match choice.add(part) {
            Ok(changes) => changes,
            Err(error) => {
                sink.named("error", &Dialect::Anthropic.body(&error));
                return;
            }
        };
        for change in changes {
            let (name, value) = event(&id, change, &choice);
            sink.named(name, &value);
        }
    }
    if let Some(end) = &choice.end {
        tokens.add(0, &end.timings);
    }
    let (reason, sequence) = stop_reason(&choice);
    let delta = json!({ "stop_reason": reason, "stop_sequence": sequence });
    sink.named(
        "message_delta",
        &json!({ "type": "message_delta", "delta": delta, "usage": usage(tokens) }),
    );
    sink.named("message_stop", &json!({ "type": "message_stop" }));
}

/// The event of a change.
fn event(id: &str, change: Change, choice: &Choice) -> (&'static str, Json) {
    let start = |index: usize, block: Json| {
        let name = "content_block_start";
        (
            name,
            json!({ "type": name, "index": index, "content_block": block }),
        )
    };
    match change {
        Change::Text(index) => start(index, json!({ "type": "text", "text": "" })),
        Change::Call(index, tool) => start(
            index,
            json!({ "type": "tool_use", "id": tool_id(id, index), "name": tool, "input": {} }),
        ),
        Change::More(index, piece) => {
            let delta = match choice.blocks.get(index) {
                Some(Block::Call { .. }) => json!({ "type": "input_json_delta", "partial_json": piece }),
                _ => json!({ "type": "text_delta", "text": piece }),
            };
            let name = "content_block_delta";
            (name, json!({ "type": name, "index": index, "delta": delta }))
        }
        Change::Closed(index) => {
            let name = "content_block_stop";
            (name, json!({ "type": name, "index": index }))
        }
    }
}
