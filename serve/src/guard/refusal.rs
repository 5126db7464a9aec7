//! Why a request is not answered.

use axum::http::StatusCode;

/// Why a request is refused before its body is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no `Host` header.
    #[error("the request has no Host header")]
    NoHost,
    /// There is more than one, or it is not text.
    #[error("the request has more than one Host header")]
    TwoHosts,
    /// The `Host` header is not a host and a port.
    #[error("the Host header is not a host and a port")]
    HostForm,
    /// The name is not one of this service's. The answer does not tell which are.
    #[error("this service is not known under the name in the Host header")]
    Host,
    /// The page that asks is of another origin.
    #[error("pages of this origin may not use this service")]
    Origin,
    /// A page of another site asks.
    #[error("pages of another site may not use this service")]
    CrossSite,
    /// The body's type is not JSON.
    #[error("the body must have the content type application/json")]
    ContentType,
}

impl Refusal {
    /// The answer's status.
    pub fn status(self) -> StatusCode {
        match self {
            Refusal::NoHost | Refusal::TwoHosts | Refusal::HostForm => StatusCode::BAD_REQUEST,
            Refusal::Host | Refusal::Origin | Refusal::CrossSite => StatusCode::FORBIDDEN,
            Refusal::ContentType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        }
    }

    /// A stable word for metrics and for the error's `code`.
    pub fn code(self) -> &'static str {
        match self {
            Refusal::NoHost | Refusal::TwoHosts | Refusal::HostForm => "bad_host",
            Refusal::Host => "host_not_allowed",
            Refusal::Origin => "origin_not_allowed",
            Refusal::CrossSite => "cross_site",
            Refusal::ContentType => "content_type",
        }
    }
}
