//! Embeddings of texts, whatever the dialect.

use std::sync::Arc;

use siskin_runtime::{Pooling, Token};
use tokio::sync::oneshot;

use super::openai::prompts::Given;
use crate::app::App;
use crate::engine::Embed;
use crate::error::{ApiError, Kind};
use crate::models::{Lease, blocking};

/// Texts as vectors.
#[derive(Debug)]
pub(crate) struct Embeddings {
    /// A vector of length 1 for each text.
    pub(crate) vectors: Vec<Vec<f32>>,
    /// Tokens of all texts.
    pub(crate) tokens: usize,
}

/// Has texts embedded, one after the other, so that requests take turns.
///
/// # Errors
/// A text is empty or too long, or its embedding cannot be computed.
pub(crate) async fn compute(
    app: &Arc<App>,
    lease: Lease,
    inputs: Vec<Given>,
    field: &'static str,
) -> Result<Embeddings, ApiError> {
    let (lease, lists) = blocking(move || {
        let lists = inputs
            .iter()
            .map(|given| tokens(&lease, given, field))
            .collect::<Result<Vec<_>, _>>();
        (lease, lists)
    })
    .await?;
    let mut embeddings = Embeddings {
        vectors: Vec::new(),
        tokens: 0,
    };
    for tokens in lists? {
        embeddings.tokens += tokens.len();
        let (done, computed) = oneshot::channel();
        app.engine.embed(
            lease.live.slot,
            Embed {
                tokens,
                pooling: Pooling::Mean,
                done,
            },
        );
        let unloaded = |_| ApiError::new(Kind::Loading, "the model was unloaded; try again");
        let vector = computed
            .await
            .map_err(unloaded)?
            .map_err(|reason| ApiError::new(Kind::Internal, reason))?;
        embeddings.vectors.push(vector);
    }
    Ok(embeddings)
}

fn tokens(lease: &Lease, given: &Given, field: &str) -> Result<Vec<Token>, ApiError> {
    let tokens = given.tokens(&lease.live, field)?;
    let (count, context) = (tokens.len() as u64, u64::from(lease.live.context));
    match count {
        0 => Err(ApiError::field(
            field,
            "a text is empty, and this model adds no token that begins texts",
        )),
        count if count > context => Err(ApiError {
            numbers: vec![("n_prompt_tokens", count), ("n_ctx", context)],
            param: Some(field.into()),
            ..ApiError::new(
                Kind::ContextExceeded,
                format!("a text has {count} tokens; the context has {context}: shorten it"),
            )
        }),
        _ => Ok(tokens),
    }
}

/// The bytes of a vector in base64: numbers of 32 bits, the lowest byte first.
pub(crate) fn base64(vector: &[f32]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let at = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for index in 0..4 {
            match index <= group.len() {
                true => text.push(char::from(DIGITS[(bits >> (18 - 6 * index) & 63) as usize])),
                false => text.push('='),
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_what_numpy_reads() {
        // base64.b64encode(numpy.array([...], "<f4"))
        for (vector, text) in [
            (&[][..], ""),
            (&[1.0][..], "AACAPw=="),
            (&[1.0, -0.5][..], "AACAPwAAAL8="),
            (&[1.0, -0.5, 0.1][..], "AACAPwAAAL/NzMw9"),
        ] {
            assert_eq!(base64(vector), text);
        }
    }
}
