//! What a client may ask of an answer's text.

use llguidance::Matcher;
use llguidance::api::{GrammarInit, TopLevelGrammar};
use serde_json::{Value, json};

use crate::constraint::Constraint;
use crate::error::{ErrorKind, GrammarError, from_llguidance};
use crate::tools::ToolSet;
use crate::vocabulary::Vocabulary;
use crate::{gbnf, schema};

/// llguidance recurses over rules, references and properties. What [`crate::limits`] let through fits into this stack,
/// also without optimization.
const STACK_BYTES: usize = 32 * 1024 * 1024;

/// A form of text.
#[derive(Debug, Clone)]
pub enum Form {
    /// Any JSON object.
    JsonObject,
    /// JSON that validates against a schema.
    JsonSchema {
        /// The schema: an object, or `true`.
        schema: Value,
        /// Refuse keywords that JSON Schema does not know, and let objects have only the properties that they name.
        strict: bool,
    },
    /// Text of a grammar in GBNF, llama.cpp's notation.
    Gbnf(String),
    /// Text or calls of tools.
    Tools(Box<ToolSet>),
}

impl Form {
    /// The state before the first token.
    ///
    /// JSON is written compactly: one space may follow a comma and a colon, and there is no other white space. Small
    /// models fill their context with blanks and newlines where these are allowed. Properties come in the order of the
    /// schema, strings have no `\u` escapes: every string has one spelling, so no key is written twice in two ways. Numbers
    /// have no exponent if their type is named.
    ///
    /// # Errors
    /// The form is not well formed, cannot be enforced, or is beyond [`crate::limits`].
    pub fn compile(&self, vocabulary: &Vocabulary) -> Result<Constraint, GrammarError> {
        let grammar = match self {
            Form::JsonObject => json_grammar(&any_object(), false)?,
            Form::JsonSchema { schema, strict } => json_grammar(schema, *strict)?,
            Form::Gbnf(text) => TopLevelGrammar::from_lark(gbnf::to_lark(text)?),
            Form::Tools(tools) => TopLevelGrammar::from_lark(tools.to_lark()?),
        };
        build(vocabulary, grammar)
    }
}

/// Any object, with numbers that are bounded as in all schemas.
fn any_object() -> Value {
    let any = json!({"$ref": "#/$defs/any"});
    let kinds = [
        json!({"type": ["null", "boolean", "string"]}),
        json!({"type": "number"}),
        json!({"type": "array", "items": any}),
        json!({"type": "object", "additionalProperties": any}),
    ];
    json!({"type": "object", "additionalProperties": any, "$defs": {"any": {"anyOf": kinds}}})
}

fn json_grammar(schema: &Value, strict: bool) -> Result<TopLevelGrammar, GrammarError> {
    Ok(TopLevelGrammar::from_json_schema(schema::prepare(
        schema,
        strict.into(),
    )?))
}

fn build(vocabulary: &Vocabulary, grammar: TopLevelGrammar) -> Result<Constraint, GrammarError> {
    let factory = vocabulary.factory();
    let internal = |message: String| GrammarError::new(ErrorKind::Internal, "", message);
    let parser = std::thread::scope(|scope| {
        let compile = || factory.create_parser_from_init_default(GrammarInit::Serialized(grammar));
        let thread = std::thread::Builder::new()
            .name("grammar".to_owned())
            .stack_size(STACK_BYTES);
        let thread = thread
            .spawn_scoped(scope, compile)
            .map_err(|error| internal(format!("cannot start a thread: {error}")))?;
        let compiled = thread
            .join()
            .map_err(|_| internal("the grammar's compiler has failed".to_owned()))?;
        compiled.map_err(|error| schema::explain(from_llguidance(&error.to_string(), ErrorKind::Unsupported)))
    })?;
    let mut constraint = Constraint::new(vocabulary, Matcher::new(Ok(vocabulary.adopt(parser))));
    // A form whose first token already takes too much work is refused here, not in the middle of an answer.
    constraint.mask()?;
    Ok(constraint)
}
