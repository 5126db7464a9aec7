//! What a refusal of the hub means, in the words of the person who waits. Pure.

use crate::HubError;

/// What a request is for: the words of errors.
#[derive(Debug, Clone, Default)]
pub(crate) struct Subject {
    /// What is fetched, such as `config.json of OWNER/REPO`.
    pub(crate) what: String,
    /// `OWNER/REPO`, if it is a repository.
    pub(crate) repo: Option<String>,
    /// The revision, if its absence may be the reason.
    pub(crate) revision: Option<String>,
    /// The file, if its absence may be the reason.
    pub(crate) file: Option<String>,
    /// The hub's address.
    pub(crate) endpoint: String,
}

/// A refusing answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refusal<'a> {
    pub(crate) host: &'a str,
    pub(crate) status: u16,
    /// `X-Error-Code`.
    pub(crate) code: &'a str,
    /// `X-Error-Message`, or the challenge of a registry.
    pub(crate) message: &'a str,
    /// Whether a token was sent.
    pub(crate) had_token: bool,
}

/// The error for a status that is neither success nor worth another attempt.
pub(crate) fn error(subject: &Subject, refusal: &Refusal<'_>) -> HubError {
    let Refusal {
        host,
        status,
        code,
        message,
        had_token,
    } = *refusal;
    let Some(repo) = subject.repo.clone() else {
        return plain(subject, refusal);
    };
    let page = format!("{}/{repo}", subject.endpoint);
    let tokens = format!("{}/settings/tokens", subject.endpoint);
    let no_revision = |revision: String| HubError::NoRevision {
        repo: repo.clone(),
        revision,
        known: Vec::new(),
    };
    match (status, code) {
        (401 | 403, "GatedRepo") if !had_token => HubError::NeedsToken { repo, page, tokens },
        (401 | 403, "GatedRepo") => HubError::Gated { repo, page },
        (401, _) if had_token && message.contains("credentials") => HubError::BadToken {
            host: host.to_owned(),
            tokens,
        },
        (401 | 404, "RepoNotFound") | (401, "") => HubError::NoRepo { repo },
        (404, "RevisionNotFound") => no_revision(subject.revision.clone().unwrap_or_default()),
        (404, code) => match (&subject.file, &subject.revision) {
            (Some(file), _) => HubError::NoFile {
                repo,
                file: file.clone(),
            },
            // Mirrors send no code. A repository that is there has its page; this address is of its revision.
            (None, Some(revision)) if code.is_empty() && revision != "main" => no_revision(revision.clone()),
            _ => HubError::NoRepo { repo },
        },
        _ => plain(subject, refusal),
    }
}

fn plain(subject: &Subject, refusal: &Refusal<'_>) -> HubError {
    HubError::Status {
        host: refusal.host.to_owned(),
        what: subject.what.clone(),
        status: refusal.status,
        message: refusal
            .message
            .chars()
            .filter(|c| !c.is_control())
            .take(600)
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_apart() {
        let subject = Subject {
            what: "x of a/b".into(),
            repo: Some("a/b".into()),
            revision: Some("step7".into()),
            file: None,
            endpoint: "https://hub.example".into(),
        };
        let file = Subject {
            file: Some("x".into()),
            ..subject.clone()
        };
        let bare = Subject {
            repo: None,
            ..subject.clone()
        };
        let cases = [
            (&subject, 401, "GatedRepo", "", false, "a/b needs a token: "),
            (
                &subject,
                403,
                "GatedRepo",
                "",
                true,
                "a/b is gated, and the account of this token",
            ),
            (
                &subject,
                401,
                "",
                "Invalid credentials in Authorization header",
                true,
                "hub.example does not accept",
            ),
            (
                &subject,
                401,
                "RepoNotFound",
                "",
                false,
                "there is no repository a/b",
            ),
            (
                &subject,
                404,
                "RepoNotFound",
                "",
                true,
                "there is no repository a/b",
            ),
            (
                &subject,
                404,
                "RevisionNotFound",
                "",
                false,
                "a/b has no revision step7",
            ),
            (&subject, 404, "", "", false, "a/b has no revision step7"),
            (&file, 404, "EntryNotFound", "", false, "a/b has no file x"),
            (&file, 404, "", "", false, "a/b has no file x"),
            (
                &subject,
                451,
                "",
                "court\u{1b}",
                false,
                "hub.example refuses x of a/b: 451, court",
            ),
            (&bare, 404, "", "", false, "hub.example refuses x of a/b: 404"),
        ];
        for (subject, status, code, message, had_token, text) in cases {
            let refusal = Refusal {
                host: "hub.example",
                status,
                code,
                message,
                had_token,
            };
            let error = error(subject, &refusal).to_string();
            assert!(error.starts_with(text) && error.lines().count() == 1, "{error}");
        }
        let gated = Refusal {
            host: "h",
            status: 401,
            code: "GatedRepo",
            message: "",
            had_token: false,
        };
        let text = error(&subject, &gated).to_string();
        for part in [
            "https://hub.example/a/b",
            "https://hub.example/settings/tokens",
            "HF_TOKEN",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }
}
