//! What a form may have at most. All are checked before a grammar is built.

/// Bytes of a GBNF grammar, and of a schema as compact JSON.
pub const MAX_BYTES: usize = 64 * 1024;
/// Levels of objects and arrays in a schema.
pub const MAX_SCHEMA_DEPTH: usize = 32;
/// Levels that a schema has if every `$ref` is followed once.
pub const MAX_REFERENCE_DEPTH: usize = 256;
/// Schemas in a schema, each counted once.
pub const MAX_SUBSCHEMAS: usize = 4096;
/// Properties of one object.
pub const MAX_PROPERTIES: usize = 512;
/// Properties of one object that also has `minProperties` or `maxProperties`.
pub const MAX_COUNTED_PROPERTIES: usize = 64;
/// Values of all `enum` lists of a schema.
pub const MAX_ENUM_VALUES: usize = 2048;
/// `minItems`, `maxItems`, `minProperties`, `maxProperties`.
pub const MAX_ITEMS: u64 = 4096;
/// `minLength` and `maxLength`, in characters. An answer that writes most of so long a string is too complex all the same.
pub const MAX_LENGTH: u64 = 65_536;
/// Bytes of a `pattern`.
pub const MAX_PATTERN: usize = 1024;
/// Numbers in bounds and constants: those that a double has exactly.
pub const MAX_NUMBER: f64 = 9_007_199_254_740_991.0;
/// The significant digits of `multipleOf`, as a number.
pub const MAX_MULTIPLE: u64 = 10_000;
/// Levels of groups in a GBNF grammar.
pub const MAX_GROUP_DEPTH: usize = 100;
/// Rules of a GBNF grammar; each group that must be a rule counts.
pub const MAX_RULES: usize = 1024;
/// Alternatives of one rule, if the grammar has recursion.
pub const MAX_ALTERNATIVES: usize = 1024;
/// Rules that lead from one to the next.
pub const MAX_RULE_DEPTH: usize = 256;
/// `{m,n}` of a GBNF grammar.
pub const MAX_REPETITION: u32 = 2000;
/// Tools of a request.
pub const MAX_TOOLS: usize = 64;
/// Bytes of all tools' schemas together.
pub const MAX_TOOL_BYTES: usize = 4 * MAX_BYTES;
/// Calls of one answer.
pub const MAX_CALLS: usize = 16;
/// Bytes of a token that a form may write. Longer ones are never allowed.
pub const MAX_TOKEN_BYTES: usize = 512;
/// Tokens of a vocabulary.
pub const MAX_TOKENS: usize = 1 << 20;
/// Bytes of all tokens together.
pub const MAX_VOCABULARY_BYTES: usize = (1 << 22) - 2;
