//! Who asks, from the parts of a request that are the same in all dialects; and how an answer is begun for them.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use siskin_runtime::scheduler::Class;

use crate::answer::{Answer, Ask};
use crate::app::{App, Caller};
use crate::error::ApiError;
use crate::front::Tally;
use crate::models::{Lease, blocking};

/// Who asks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Client {
    /// The key.
    pub(crate) caller: Caller,
    /// Who waits, from `X-Siskin-Class`.
    pub(crate) class: Class,
    /// The conversation, from `X-Session-ID`.
    pub(crate) session: Option<String>,
    /// Where what its answer takes is noted for the log.
    pub(crate) tally: Option<Arc<Tally>>,
}

impl<S: Send + Sync> FromRequestParts<S> for Client {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Client {
            caller: parts.extensions.get::<Caller>().cloned().unwrap_or_default(),
            class: class(&parts.headers),
            session: text(&parts.headers, "x-session-id"),
            tally: parts.extensions.get::<Arc<Tally>>().cloned(),
        })
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

fn class(headers: &HeaderMap) -> Class {
    match text(headers, "x-siskin-class") {
        Some(name) if name.eq_ignore_ascii_case("background") => Class::Background,
        _ => Class::Chat,
    }
}

/// The number of a conversation, from the first name that a client calls it.
pub(crate) fn conversation(names: &[Option<&str>]) -> Option<u64> {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let name = names.iter().flatten().find(|name| !name.is_empty())?;
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    Some(hasher.finish())
}

/// Has `ask` made apart from the thread that serves, since templates and schemas take long, and has it computed.
///
/// # Errors
/// The service ends, the model cannot be had, or what is asked for is refused.
pub(crate) async fn begin(
    app: &Arc<App>,
    client: &Client,
    model: Option<&str>,
    ask: impl FnOnce(&Lease) -> Result<Ask, ApiError> + Send + 'static,
) -> Result<Answer, ApiError> {
    app.check_open()?;
    let lease = app.models.lease(model).await?;
    start(app, client, lease, ask).await
}

/// The same with a model that is there.
///
/// # Errors
/// What is asked for is refused.
pub(crate) async fn start(
    app: &Arc<App>,
    client: &Client,
    lease: Lease,
    ask: impl FnOnce(&Lease) -> Result<Ask, ApiError> + Send + 'static,
) -> Result<Answer, ApiError> {
    let (lease, ask) = blocking(move || {
        let ask = ask(&lease).and_then(|mut ask| ask.compile(&lease.live).map(|()| ask));
        (lease, ask)
    })
    .await?;
    let ask = ask?;
    let background = |said: &String| app.background.iter().any(|start| said.starts_with(start));
    let ask = Ask {
        class: match ask.said.as_ref().is_some_and(background) {
            true => Class::Background,
            false => client.class,
        },
        namespace: client.caller.namespace,
        conversation: conversation(&[client.session.as_deref()]).or(ask.conversation),
        ..ask
    };
    let prompt = app
        .prompts
        .as_ref()
        .map(|journal| (journal, lease.live.text(&ask.prompt)));
    let mut answer = Answer::begin(&app.engine, lease, ask)?;
    if let Some((journal, prompt)) = prompt {
        answer.log_in(journal, &prompt);
    }
    if let Some(tally) = &client.tally {
        answer.note_in(tally.clone());
    }
    Ok(answer)
}
