//! What every request goes through before a handler sees it, and every answer afterwards: host and origin, keys and
//! roles, figures, one line in the log.

mod entry;
mod need;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use axum::middleware::{Next, from_fn_with_state};

use crate::api::edge;
use crate::app::Caller;
use crate::dialect::Dialect;
use crate::error::{ApiError, Kind};
use crate::guard::{Guard, Refusal};
use crate::journal::Journal;
use crate::keys::Keys;
use crate::metrics::{Metrics, Reason};
use entry::{Entry, Logged};
pub(crate) use entry::{Tally, Work};
use need::Need;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What requests are checked by and counted in.
pub(crate) struct Front {
    guard: Guard,
    keys: Arc<Keys>,
    metrics: Arc<Metrics>,
    journal: Arc<Journal>,
    ids: AtomicU64,
}

impl Front {
    /// A front with these checks.
    pub(crate) fn new(
        guard: Guard,
        keys: Arc<Keys>,
        metrics: Arc<Metrics>,
        journal: Arc<Journal>,
    ) -> Arc<Self> {
        use std::hash::{BuildHasher, RandomState};
        Arc::new(Front {
            guard,
            keys,
            metrics,
            journal,
            // Numbers of different runs do not meet in a log.
            ids: AtomicU64::new(RandomState::new().hash_one(0)),
        })
    }

    /// A router whose requests go through here. Handlers find a [`Caller`] and an `Arc<Tally>` among the extensions.
    pub(crate) fn wrap(self: &Arc<Self>, router: Router) -> Router {
        router.layer(from_fn_with_state(Arc::clone(self), enter))
    }

    /// Who asks, if the request may be answered.
    fn admit(&self, method: &Method, path: &str, headers: &HeaderMap) -> Result<Caller, (ApiError, Reason)> {
        let checked = match self.guard.check(method, headers) {
            // Programs that look whether the service lives may speak HTTP/1.0, which has no Host.
            Err(Refusal::NoHost) if need::is_for_anyone(path) => Ok(()),
            checked => checked,
        };
        checked.map_err(|refusal| {
            let kind = match refusal {
                Refusal::Host | Refusal::Origin | Refusal::CrossSite => Kind::Forbidden,
                Refusal::ContentType => Kind::MediaType,
                Refusal::NoHost | Refusal::TwoHosts | Refusal::HostForm => Kind::Invalid,
            };
            (ApiError::new(kind, refusal.to_string()), Reason::Guard)
        })?;
        let Need::Role(role) = need::of(path) else {
            return Ok(Caller::default());
        };
        let denied =
            |error: crate::keys::Denied| (ApiError::new(Kind::Unauthorized, error.to_string()), Reason::Key);
        let Some(key) = self.keys.now().authenticate(headers).map_err(denied)? else {
            return Ok(Caller::default());
        };
        if !key.roles.has(role) {
            let message = format!("the key {} may not use this path", key.name);
            return Err((ApiError::new(Kind::Forbidden, message), Reason::Share));
        }
        Ok(Caller {
            name: key.name.clone(),
            namespace: key.namespace,
        })
    }

    fn id(&self) -> String {
        format!("{:016x}", self.ids.fetch_add(1, Ordering::Relaxed))
    }
}

async fn enter(State(front): State<Arc<Front>>, mut request: Request, next: Next) -> Response<Body> {
    let method = request.method().clone();
    if let Some(headers) = front.guard.preflight(&method, request.headers()) {
        // The host is checked for questions, too.
        if front.guard.check(&method, request.headers()).is_ok() {
            let mut answer = Response::new(Body::empty());
            *answer.status_mut() = StatusCode::NO_CONTENT;
            *answer.headers_mut() = headers;
            return answer;
        }
    }
    let own = edge::own_id(request.headers()).and_then(|id| id.to_str().ok().map(str::to_owned));
    let id = own.unwrap_or_else(|| front.id());
    // Whoever names the request after this does so by the same id.
    if let Ok(id) = HeaderValue::from_str(&id) {
        request.headers_mut().insert(REQUEST_ID, id);
    }
    let path = request.uri().path().to_owned();
    let cors = front.guard.cors(request.headers());
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map(|route| route.as_str().to_owned());
    let mut entry = Entry::new(&front.journal, &id, &method, route);
    let mut response = match front.admit(&method, &path, request.headers()) {
        Ok(caller) => {
            entry.key.clone_from(&caller.name);
            request.extensions_mut().insert(caller);
            request.extensions_mut().insert(Arc::clone(&entry.tally));
            next.run(request).await
        }
        Err((error, reason)) => {
            front.metrics.refused.one(reason);
            Dialect::of_path(&path).refuse(&error)
        }
    };
    let status = response.status().as_u16();
    front.metrics.answered(status);
    entry.status = status;
    response.headers_mut().extend(cors);
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response.map(|body| Body::new(Logged::new(body, entry)))
}

#[cfg(test)]
mod tests;
