//! What every token of a model writes, as a tree of bytes.

use std::sync::{Arc, OnceLock};

use llguidance::api::ParserLimits;
use llguidance::earley::{BiasComputer, ParserRecognizer};
use llguidance::toktrie::{
    INVALID_TOKEN, InferenceCapabilities, SimpleVob, TokEnv, TokRxInfo, TokTrie, TokenizerEnv,
};
use llguidance::{ParserFactory, TokenParser};

use crate::error::{ErrorKind, GrammarError};
use crate::limits;

/// What a token writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenText {
    /// These bytes; they need not be whole characters. Also a control token that calls are written with, as
    /// `<tool_call>` is in some models: a form may then contain its text.
    Text(Vec<u8>),
    /// Nothing that a form may contain: a control token, an unused or unknown one.
    Control,
}

/// The tokens of a model. Made once; a clone shares it.
#[derive(Clone)]
pub struct Vocabulary {
    inner: Arc<Inner>,
}

struct Inner {
    factory: ParserFactory,
    bias: Arc<WholeTree>,
    end: Vec<u32>,
}

impl std::fmt::Debug for Vocabulary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vocabulary")
            .field("len", &self.len())
            .field("end", &self.inner.end)
            .finish()
    }
}

impl Vocabulary {
    /// The vocabulary of `tokens` in the order of their ids. `end` are all tokens that may end an answer; whatever their
    /// text is, no form contains them.
    ///
    /// # Errors
    /// No token, more than [`limits::MAX_TOKENS`] or [`limits::MAX_VOCABULARY_BYTES`], or an end token that is none.
    pub fn new(tokens: impl IntoIterator<Item = TokenText>, end: &[u32]) -> Result<Vocabulary, GrammarError> {
        let error = |message: String| GrammarError::new(ErrorKind::Vocabulary, "", message);
        let mut words = Vec::new();
        let mut bytes = 0usize;
        for token in tokens {
            if words.len() == limits::MAX_TOKENS {
                return Err(error(format!(
                    "the vocabulary has more than {} tokens",
                    limits::MAX_TOKENS
                )));
            }
            let word = if end.contains(&(words.len() as u32)) {
                Vec::new()
            } else {
                writable(token)
            };
            bytes += word.len();
            if bytes > limits::MAX_VOCABULARY_BYTES {
                return Err(error(format!(
                    "the tokens have more than {} bytes",
                    limits::MAX_VOCABULARY_BYTES
                )));
            }
            words.push(word);
        }
        if words.is_empty() {
            return Err(error("the vocabulary has no token".to_owned()));
        }
        if let Some(token) = end.iter().find(|&&token| token as usize >= words.len()) {
            return Err(error(format!(
                "the end token {token} is not one of the {} tokens",
                words.len()
            )));
        }
        let env = Arc::new(Env::new());
        let tok_env: TokEnv = env.clone();
        // While the factory is made the tree has one token: the factory copies it several times, and no copy is used.
        let mut factory = ParserFactory::new(&tok_env, InferenceCapabilities::default(), &[])
            .map_err(|e| GrammarError::new(ErrorKind::Internal, "", e.to_string()))?;
        factory.quiet();
        *factory.limits_mut() = parser_limits();
        env.set(tree(&words, end));
        let bias = Arc::new(WholeTree { env });
        Ok(Vocabulary {
            inner: Arc::new(Inner {
                factory,
                bias,
                end: end.to_vec(),
            }),
        })
    }

    /// How many tokens there are.
    pub fn len(&self) -> usize {
        self.tree().vocab_size()
    }

    /// Never: a vocabulary has at least one token.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The tokens that may end an answer.
    pub fn end_tokens(&self) -> &[u32] {
        &self.inner.end
    }

    pub(crate) fn factory(&self) -> &ParserFactory {
        &self.inner.factory
    }

    pub(crate) fn tree(&self) -> &TokTrie {
        self.inner.bias.trie()
    }

    /// A parser that computes its masks over the one tree.
    pub(crate) fn adopt(&self, mut parser: TokenParser) -> TokenParser {
        parser.bias_computer = self.inner.bias.clone();
        parser
    }
}

/// The bytes that a form may write with this token. None of them begins with 0xFF: no text in UTF-8 has that byte, and
/// the tree of tokens has a meaning of its own for it.
fn writable(token: TokenText) -> Vec<u8> {
    match token {
        TokenText::Text(bytes) if bytes.len() <= limits::MAX_TOKEN_BYTES && bytes.first() != Some(&0xff) => {
            bytes
        }
        TokenText::Text(_) | TokenText::Control => Vec::new(),
    }
}

fn tree(words: &[Vec<u8>], end: &[u32]) -> TokTrie {
    let first = end.first().copied().unwrap_or(INVALID_TOKEN);
    let tree = TokTrie::from(&TokRxInfo::new(words.len() as u32, first), words);
    if end.len() > 1 {
        tree.with_eos_tokens(end)
    } else {
        tree
    }
}

/// What one answer may cost. Reaching one of these ends the answer with [`ErrorKind::TooComplex`].
fn parser_limits() -> ParserLimits {
    ParserLimits {
        // Each alternative that may be next takes some: 512 properties of which any may follow take 2,047.
        max_items_in_row: 2_500,
        // 50,000 are one millisecond.
        initial_lexer_fuel: 1_000_000,
        // 14,000 are one millisecond.
        step_lexer_fuel: 600_000,
        // 20,000 are one millisecond. A grammar of single characters needs some for every node of the tree.
        step_max_items: 400_000,
        // One or two KB each: at most about 40 MB for an answer.
        max_lexer_states: 25_000,
        max_grammar_size: 200_000,
        precompute_large_lexemes: false,
        verbose_errors: false,
    }
}

/// The tree that llguidance sees: one with a single token until [`Env::set`].
struct Env {
    empty: TokTrie,
    full: OnceLock<TokTrie>,
}

impl Env {
    fn new() -> Env {
        Env {
            empty: tree(&[vec![b' ']], &[]),
            full: OnceLock::new(),
        }
    }

    fn set(&self, tree: TokTrie) {
        // It is set once, by the only one who has it.
        let _ = self.full.set(tree);
    }
}

impl TokenizerEnv for Env {
    fn tok_trie(&self) -> &TokTrie {
        self.full.get().unwrap_or(&self.empty)
    }

    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<u32> {
        self.tok_trie().greedy_tokenize(bytes)
    }

    fn tokenize_is_canonical(&self) -> bool {
        // The longest token first is not what a model's tokenizer does: nothing is forced by tokens, only by bytes.
        false
    }
}

/// Masks by a walk through the whole tree. llguidance's own way keeps further trees for parts of the vocabulary, which
/// take five times the memory; a mask is rarely needed if the sampled token is tried first.
struct WholeTree {
    env: Arc<Env>,
}

impl BiasComputer for WholeTree {
    fn compute_bias(&self, rec: &mut ParserRecognizer<'_>, start: &[u8]) -> SimpleVob {
        let mut allowed = self.trie().alloc_token_set();
        self.trie().add_bias(rec, &mut allowed, start);
        allowed
    }

    fn trie(&self) -> &TokTrie {
        self.env.tok_trie()
    }
}
