//! A response as events, which are numbered.

use serde_json::{Value as Json, json};

use super::{Told, text_part};
use crate::answer::Part;
use crate::api::parts::{Begun, Block, Change, Choice, Usage, waiting};
use crate::request::Finish;
use crate::stream_body::Sink;

/// Sends events with their names and numbers.
struct Numbered {
    sink: Sink,
    next: u64,
}

impl Numbered {
    fn send(&mut self, name: &str, mut event: Json) {
        event["type"] = name.into();
        event["sequence_number"] = self.next.into();
        self.next += 1;
        self.sink.named(name, &event);
    }
}

/// Writes the events of a response.
pub(super) async fn write(told: Told, mut begun: Begun, sink: Sink) {
    let mut out = Numbered { sink, next: 0 };
    let started = told.response("in_progress", Vec::new(), Json::Null);
    out.send("response.created", json!({ "response": started }));
    out.send("response.in_progress", json!({ "response": started }));
    let mut usage = Usage {
        prompt: begun.answer.prompt_tokens,
        ..Usage::default()
    };
    let mut choice = Choice::default();
    while let Some((_, part)) = begun.next().await {
        if let Part::Waiting(progress) = part {
            out.sink.comment(&waiting(progress));
            continue;
        }
        match choice.add(part) {
            Ok(changes) => changes
                .into_iter()
                .for_each(|change| change_event(&told, &choice, change, &mut out)),
            Err(error) => {
                let mut failed = told.response("failed", Vec::new(), Json::Null);
                failed["error"] = json!({ "code": "server_error", "message": error.message });
                out.send("response.failed", json!({ "response": failed }));
                return;
            }
        }
    }
    if let Some(end) = &choice.end {
        usage.add(0, &end.timings);
    }
    let name = match choice.finish() {
        Finish::Length => "response.incomplete",
        Finish::Stop | Finish::StopString => "response.completed",
    };
    out.send(name, json!({ "response": told.ended(&choice, usage) }));
}

fn change_event(told: &Told, choice: &Choice, change: Change, out: &mut Numbered) {
    match change {
        Change::Text(index) => {
            let item = json!({ "id": told.item_id("msg", index), "type": "message", "status": "in_progress",
                "role": "assistant", "content": [] });
            out.send(
                "response.output_item.added",
                json!({ "output_index": index, "item": item }),
            );
            out.send(
                "response.content_part.added",
                json!({ "item_id": told.item_id("msg", index), "output_index": index, "content_index": 0,
                    "part": text_part("") }),
            );
        }
        Change::Call(index, _) => {
            let item = told.item(choice, index, false);
            out.send(
                "response.output_item.added",
                json!({ "output_index": index, "item": item }),
            );
        }
        Change::More(index, piece) => match choice.blocks.get(index) {
            Some(Block::Call { .. }) => out.send(
                "response.function_call_arguments.delta",
                json!({ "item_id": told.item_id("fc", index), "output_index": index, "delta": piece }),
            ),
            _ => out.send(
                "response.output_text.delta",
                json!({ "item_id": told.item_id("msg", index), "output_index": index, "content_index": 0,
                    "delta": piece, "logprobs": [] }),
            ),
        },
        Change::Closed(index) => closed(told, choice, index, out),
    }
}

fn closed(told: &Told, choice: &Choice, index: usize, out: &mut Numbered) {
    match choice.blocks.get(index) {
        Some(Block::Text(text)) => {
            let place =
                json!({ "item_id": told.item_id("msg", index), "output_index": index, "content_index": 0 });
            let mut done = place.clone();
            done["text"] = text.as_str().into();
            done["logprobs"] = json!([]);
            out.send("response.output_text.done", done);
            let mut done = place;
            done["part"] = text_part(text);
            out.send("response.content_part.done", done);
        }
        Some(Block::Call { name, arguments, .. }) => out.send(
            "response.function_call_arguments.done",
            json!({ "item_id": told.item_id("fc", index), "output_index": index, "name": name,
                "arguments": arguments }),
        ),
        None => {}
    }
    out.send(
        "response.output_item.done",
        json!({ "output_index": index, "item": told.item(choice, index, true) }),
    );
}
