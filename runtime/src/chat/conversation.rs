//! A conversation as data: its messages, and the first turn that the model still sees.

use serde::{Deserialize, Serialize};

/// The author of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions that apply to the whole conversation.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
        })
    }
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The author of the message.
    pub role: Role,
    /// The text of the message.
    pub content: String,
}

/// A question and its answer; the answer is missing while it is being generated.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Turn {
    question: String,
    answer: Option<String>,
}

/// A system prompt and turns. The model may no longer see the oldest turns; they remain part of the
/// conversation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conversation {
    system: Option<String>,
    turns: Vec<Turn>,
    first_seen: usize,
}

/// Why a saved conversation cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ConversationError {
    /// The text is not the JSON of a conversation.
    #[error("not a saved conversation: {0}")]
    Json(#[from] serde_json::Error),
    /// The order of the messages is not that of a conversation.
    #[error("message {at} has the role {found}; expected {wanted}")]
    Order {
        /// The number of the message, from 1.
        at: usize,
        /// The role of that message.
        found: Role,
        /// The role expected there.
        wanted: Role,
    },
    /// The last question has no answer.
    #[error("the last message has no answer")]
    Unanswered,
}

/// The form in which conversations are saved.
#[derive(Serialize, Deserialize)]
struct Saved {
    messages: Vec<Message>,
}

impl Conversation {
    /// A conversation without turns.
    pub fn new(system: Option<String>) -> Self {
        Conversation {
            system,
            ..Conversation::default()
        }
    }

    /// The system prompt, if there is one.
    pub fn system(&self) -> Option<&str> {
        self.system.as_deref()
    }

    /// Sets or removes the system prompt from now on.
    pub fn set_system(&mut self, system: Option<String>) {
        self.system = system;
    }

    /// Forgets every turn; the system prompt stays.
    pub fn reset(&mut self) {
        *self = Conversation::new(self.system.take());
    }

    /// The number of turns, and how many of the oldest the model no longer sees.
    pub fn turns(&self) -> (usize, usize) {
        (self.turns.len(), self.first_seen)
    }

    /// Begins a turn.
    pub fn ask(&mut self, question: String) {
        self.turns.push(Turn {
            question,
            answer: None,
        });
    }

    /// Ends the turn that has begun.
    pub fn answer(&mut self, text: String) {
        if let Some(turn) = self.turns.last_mut() {
            turn.answer = Some(text);
        }
    }

    /// Removes the last question if it has no answer.
    pub fn withdraw(&mut self) {
        self.turns.pop_if(|turn| turn.answer.is_none());
        self.first_seen = self.first_seen.min(self.turns.len());
    }

    /// Takes the last turn back, and returns its question; `None` if there is no turn.
    pub fn undo(&mut self) -> Option<String> {
        let turn = self.turns.pop()?;
        self.first_seen = self.first_seen.min(self.turns.len());
        Some(turn.question)
    }

    /// Removes the last question if it has no answer, and shows the turns again that were hidden for it: `seen_from` is
    /// what [`Conversation::seen_from`] returned before.
    pub(super) fn withdraw_to(&mut self, seen_from: usize) {
        self.withdraw();
        self.first_seen = seen_from.min(self.turns.len());
    }

    /// The index of the oldest turn that the model sees.
    pub(super) fn seen_from(&self) -> usize {
        self.first_seen
    }

    /// Whether the model sees a turn older than the last one.
    pub fn can_drop(&self) -> bool {
        self.first_seen + 1 < self.turns.len()
    }

    /// Hides the oldest visible turn, as a whole, from the model. Returns false if only the last turn is
    /// left.
    pub fn drop_oldest(&mut self) -> bool {
        let can = self.can_drop();
        self.drop_turns(usize::from(can));
        can
    }

    /// Hides so many of the oldest visible turns.
    pub(super) fn drop_turns(&mut self, count: usize) {
        self.first_seen = (self.first_seen + count).min(self.turns.len());
    }

    /// The bytes of the messages that the model sees.
    pub(super) fn seen_bytes(&self) -> usize {
        let turn = |turn: &Turn| turn.question.len() + turn.answer.as_ref().map_or(0, String::len);
        let turns: usize = self.turns[self.first_seen..].iter().map(turn).sum();
        turns + self.system.as_ref().map_or(0, String::len)
    }

    /// The system prompt and so many of the newest turns.
    pub(super) fn newest(&self, count: usize) -> Vec<Message> {
        self.messages(self.turns.len().saturating_sub(count))
    }

    /// The messages that the model sees: the system prompt and the visible turns.
    pub fn seen(&self) -> Vec<Message> {
        self.messages(self.first_seen)
    }

    fn messages(&self, first: usize) -> Vec<Message> {
        let message = |role, content: &String| Message {
            role,
            content: content.clone(),
        };
        let system = self.system.iter().map(|text| message(Role::System, text));
        let turns = self.turns.iter().skip(first).flat_map(|turn| {
            let question = message(Role::User, &turn.question);
            let answer = turn.answer.iter().map(|text| message(Role::Assistant, text));
            std::iter::once(question).chain(answer)
        });
        system.chain(turns).collect()
    }

    /// The whole conversation as JSON: `{"messages": [{"role": "user", "content": "…"}, …]}`.
    ///
    /// # Errors
    /// If the messages cannot be serialized.
    pub fn to_json(&self) -> Result<String, ConversationError> {
        let messages = self.messages(0);
        Ok(serde_json::to_string_pretty(&Saved { messages })? + "\n")
    }

    /// Reads what [`Conversation::to_json`] wrote, or another program in the same form: at most one system
    /// message, first; then questions and answers in turn, the last one answered.
    ///
    /// # Errors
    /// If the text is not such JSON, the roles do not alternate, or the last question has no answer.
    pub fn from_json(text: &str) -> Result<Self, ConversationError> {
        let saved: Saved = serde_json::from_str(text)?;
        let mut conversation = Conversation::default();
        for (at, message) in saved.messages.into_iter().enumerate() {
            let wanted = match (message.role, conversation.turns.last()) {
                (Role::System, _) if at == 0 => Role::System,
                (_, Some(turn)) if turn.answer.is_none() => Role::Assistant,
                _ => Role::User,
            };
            if message.role != wanted {
                return Err(ConversationError::Order {
                    at: at + 1,
                    found: message.role,
                    wanted,
                });
            }
            match wanted {
                Role::System => conversation.system = Some(message.content),
                Role::User => conversation.ask(message.content),
                Role::Assistant => conversation.answer(message.content),
            }
        }
        match conversation.turns.last() {
            Some(turn) if turn.answer.is_none() => Err(ConversationError::Unanswered),
            _ => Ok(conversation),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_turns(turns: usize) -> Conversation {
        let mut conversation = Conversation::new(Some("Be kind.".into()));
        for turn in 0..turns {
            conversation.ask(format!("question {turn}"));
            conversation.answer(format!("answer {turn}"));
        }
        conversation
    }

    #[test]
    fn the_oldest_turns_go_in_whole_and_the_system_prompt_and_the_last_turn_stay() {
        let mut conversation = with_turns(2);
        conversation.ask("last".into());
        let contents = |conversation: &Conversation| {
            conversation
                .seen()
                .into_iter()
                .map(|m| m.content)
                .collect::<Vec<_>>()
        };
        assert!(conversation.drop_oldest());
        assert_eq!(
            contents(&conversation),
            ["Be kind.", "question 1", "answer 1", "last"],
        );
        assert!(conversation.drop_oldest());
        assert_eq!(contents(&conversation), ["Be kind.", "last"]);
        assert!(!conversation.drop_oldest());
        assert_eq!(conversation.turns(), (3, 2));
        conversation.withdraw();
        assert_eq!(contents(&conversation), ["Be kind."]);
        assert_eq!(conversation.undo().as_deref(), Some("question 1"));
        assert_eq!(conversation.turns(), (1, 1));
        conversation.reset();
        assert_eq!(
            (contents(&conversation), conversation.turns()),
            (vec!["Be kind.".to_owned()], (0, 0))
        );
        assert_eq!(conversation.undo(), None);
    }

    #[test]
    fn saved_and_loaded_it_is_the_same_and_whole() {
        let mut conversation = with_turns(3);
        conversation.drop_oldest();
        let loaded = Conversation::from_json(&conversation.to_json().expect("JSON")).expect("a conversation");
        conversation.first_seen = 0;
        assert_eq!(loaded, conversation);
        let empty = Conversation::default();
        assert_eq!(
            Conversation::from_json(&empty.to_json().expect("JSON")).expect("a conversation"),
            empty
        );
    }

    #[test]
    fn what_is_no_conversation_is_refused() {
        let deep = "[".repeat(100_000);
        let cases = [
            ("", "not a saved conversation: EOF"),
            ("{}", "missing field `messages`"),
            (deep.as_str(), "not a saved conversation"),
            (
                r#"{"messages":[{"role":"tool","content":""}]}"#,
                "unknown variant `tool`",
            ),
            (
                r#"{"messages":[{"role":"user","content":7}]}"#,
                "invalid type: integer",
            ),
            (
                r#"{"messages":[{"role":"assistant","content":""}]}"#,
                "message 1 has the role assistant; expected user",
            ),
            (
                r#"{"messages":[{"role":"user","content":""},{"role":"user","content":""}]}"#,
                "message 2 has the role user; expected assistant",
            ),
            (
                r#"{"messages":[{"role":"user","content":""},{"role":"system","content":""}]}"#,
                "message 2 has the role system",
            ),
            (r#"{"messages":[{"role":"user","content":""}]}"#, "has no answer"),
        ];
        for (text, want) in cases {
            let error = Conversation::from_json(text).expect_err(want).to_string();
            assert!(error.contains(want), "{error}");
        }
    }
}
